"""Runs a server in a container, sealed as `just run` seals it, for the length of a `with` block."""

import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.locks import normalize
from tests.support.server_process import ROOT, ServerProcess, free_port, wait_for

JUST = Path(sys.executable).with_name("just")
LIST_PACKAGES = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"


def sealed_flags() -> list[str]:
    """Return the flags with which the justfile seals a container."""
    return subprocess.run(
        [JUST, "--evaluate", "sealed"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()


def podman(*arguments: str) -> str:
    """Run podman, and return its standard output."""
    return subprocess.run(["podman", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def run_as_root(image: str, *command: str) -> str:
    """Run a command in a container of an image as root, who may read every file; return its standard output."""
    return podman("run", "--rm", "--pull=never", "--user=0", "--entrypoint", command[0], image, *command[1:])


def packages_of(image: str) -> dict[str, str]:
    """Return the version of each Python package of an image, by normalized name."""
    listed = run_as_root(image, "/opt/corolla/bin/python3", "-c", LIST_PACKAGES).split()
    return {normalize(name): version for name, _, version in (package.partition("==") for package in listed)}


@contextmanager
def serving_in_container(
    image: str, models_dir: Path | None, *flags: str, limits: Sequence[str] = ()
) -> Iterator[ServerProcess]:
    """Start a container, wait until it listens, and remove it at the end.

    Args:
        image: The image to run.
        models_dir: The model repository to mount, read-only; None keeps the one in the image.
        flags: Flags of the server.
        limits: Flags of podman, after those that seal the container; the last of two equal flags counts.
    """
    port, name = free_port(), f"corolla-test-{secrets.token_hex(4)}"
    mount = [] if models_dir is None else ["--volume", f"{models_dir}:/models:ro"]
    command = ["podman", "run", "--rm", "--pull=never", "--name", name, *sealed_flags(), *limits, *mount]
    with tempfile.TemporaryDirectory() as folder:
        log_file = Path(folder) / "server.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [*command, "--publish", f"127.0.0.1:{port}:8000", image, "--workers=1", *flags],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for("listening container", lambda: _listens(process, log_file))
            yield ServerProcess(process, log_file, f"http://127.0.0.1:{port}", name)
        finally:
            subprocess.run(["podman", "rm", "--force", "--time=0", name], check=False, capture_output=True)
            process.wait()


def _listens(process: "subprocess.Popen[bytes]", log_file: Path) -> bool:
    text = log_file.read_text()
    if process.poll() is not None:
        raise RuntimeError(f"the container ended with {process.returncode} before it listened:\n{text}")
    return "Application startup complete" in text
