"""Save, load and run images by podman, whose error messages go straight to the terminal."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from server.bundle.checksums import IMAGE_FILE
from server.bundle.opening import Bundle, read_to_end
from server.errors import BundleError

_LOADED = re.compile(r"^Loaded image(?:\(s\))?: (\S+)$", re.MULTILINE)


def save_image(image: str, path: Path) -> None:
    """Write an image to a file, as a docker archive: it keeps the health check, which an OCI archive cannot.

    Raises:
        BundleError: If podman fails.
    """
    _podman("save", "--quiet", "--format", "docker-archive", "--output", str(path), image)


def load_image(content: Iterator[bytes]) -> str:
    """Load an archive while it is read; if reading it fails, podman never sees its end and loads nothing.

    Args:
        content: The archive in chunks.

    Returns:
        The image's name.

    Raises:
        BundleError: If podman fails, and whatever ``content`` raises.
    """
    parent = os.environ.get("TMPDIR", "/var/tmp")  # noqa: S108  podman's own default; what it leaves there is removed
    with TemporaryDirectory(prefix="corolla-", dir=parent) as folder:
        loading = subprocess.Popen(
            ["podman", "load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": folder}
        )
        with loading:
            assert loading.stdin is not None  # noqa: S101  a pipe, as asked
            try:
                _write_chunks(loading.stdin, content)
                output = loading.communicate()[0].decode()
            except BaseException:
                loading.kill()
                with suppress(BrokenPipeError):
                    loading.stdin.close()
                raise
    if loading.returncode != 0 or not (match := _LOADED.search(output)):
        raise BundleError(f"podman load ended with {loading.returncode}, and loaded nothing")
    return match[1]


def tag_image(image: str, tag: str) -> None:
    """Give an image one more name.

    Raises:
        BundleError: If podman fails.
    """
    _podman("tag", image, tag)


def run_in_image(image: str, script: Path) -> str:
    """Run a script with the image's own Python, as root and without a network, and return what it prints.

    Raises:
        BundleError: If podman fails.
    """
    flags = ("--rm", "--interactive", "--pull=never", "--network=none", "--read-only", "--no-healthcheck", "--user=0")
    return _podman("run", *flags, "--entrypoint=/opt/corolla/bin/python3", image, "-", "/", stdin=script)


def _write_chunks(stdin: IO[bytes], content: Iterator[bytes]) -> None:
    held = b""
    try:
        for chunk in content:
            stdin.write(held)
            held = chunk
        stdin.write(held)
    except BrokenPipeError:  # podman's exit code says why
        return


def _podman(*arguments: str, stdin: Path = Path(os.devnull)) -> str:
    with stdin.open("rb") as source:
        ended = subprocess.run(["podman", *arguments], stdin=source, stdout=subprocess.PIPE, check=False)
    if ended.returncode != 0:
        raise BundleError(f"podman {arguments[0]} ended with {ended.returncode}")
    return ended.stdout.decode()


def install_image(bundle: Bundle, tag: str | None) -> str:
    """Load the image of a bundle, and give it one more name if one is asked for.

    Returns:
        The name that was asked for, or the one in the archive.

    Raises:
        BundleError: If podman fails, or the bundle was changed since it was verified.
    """
    image = ""
    for name, content in bundle.members():
        if name == IMAGE_FILE:
            image = load_image(content)
        else:
            read_to_end(content)
    if tag:
        tag_image(image, tag)
    return tag or image
