"""`python -m server load`: publish the models of a bundle on this host, with the server's own dependencies alone.

It ends with 0 if every version is in the repository, 1 if the keys or the bundle are refused, 2 for wrong arguments.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from server.bundle.install import install_versions
from server.bundle.opening import Bundle, open_bundle
from server.errors import BundleError, CorollaError
from server.models.trust import TrustedKeys, read_trusted_keys

REFUSED = 1


def main(arguments: Sequence[str]) -> int:
    """Publish what a bundle carries, and return the exit code.

    Raises:
        SystemExit: With 2 for arguments that cannot be used, 0 for ``--help``.
    """
    options = _make_parser().parse_args(arguments)
    try:
        _load(options.bundle, options.trusted_keys, options.models_dir)
    except (CorollaError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED
    return 0


def _load(path: Path, trusted_keys: str, models_dir: Path) -> None:
    with open_bundle(path, read_keys(trusted_keys)) as bundle:
        if bundle.checksums.has_image:
            raise BundleError(
                f"expected models in {path}, got an image: `python -m convert.bundle load` hands it to podman, and so "
                "do the commands that verify a bundle by hand"
            )
        publish(bundle, models_dir)


def publish(bundle: Bundle, models_dir: Path) -> None:
    """Publish the versions of a bundle, and print what became of each."""
    published = install_versions(bundle, models_dir)
    for version in bundle.checksums.versions:
        print(f"{version} {'is published' if version in published else 'was there already'}", file=sys.stderr)


def read_keys(path: str) -> TrustedKeys:
    """Read the keys that `--trusted-keys` names.

    Raises:
        BundleError: If there are none.
    """
    try:
        return read_trusted_keys(path)
    except ValueError as error:
        raise BundleError(f"--trusted-keys: expected {error}, got {path!r}") from error


def _make_parser() -> argparse.ArgumentParser:
    keys = os.environ.get("COROLLA_TRUSTED_KEYS")
    parser = argparse.ArgumentParser(
        prog="python -m server load",
        description="Verify a bundle and publish its models: all of them, or none.",
        epilog="It ends with 0 if all are published, 1 if the keys or the bundle are refused, 2 for a bad argument.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", metavar="FILE", type=Path, help="the bundle")
    parser.add_argument(
        "--trusted-keys",
        metavar="KEYS",
        default=keys,
        required=not keys,
        help="a PEM file or folder of Ed25519 public keys (variable: COROLLA_TRUSTED_KEYS)",
    )
    parser.add_argument(
        "--models-dir",
        metavar="DIR",
        type=_folder,
        default=os.environ.get("COROLLA_MODELS_DIR", "models"),
        help="the model repository (default: models; variable: COROLLA_MODELS_DIR)",
    )
    return parser


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("expected a folder, got ''")
    return Path(text)
