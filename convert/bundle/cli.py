"""The commands of `python -m convert.bundle`: keys, signatures, and one file that carries an image or models to a host.

What makes keys, signatures and bundles is imported in the function that needs it. A host that loads bundles needs the
server's own dependencies only.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from convert.bundle.podman import install_image
from server.bundle.cli import publish, read_keys
from server.bundle.opening import open_bundle
from training.command import FILE, models_dir_option, run_command

_key_option = click.option("--key", metavar="KEY", type=FILE, required=True, help="The private key's file.")


def main(arguments: Sequence[str]) -> int:
    """Run a command.

    Returns:
        The exit code: 0, 1 if a key, a version or a bundle is refused, 2 for wrong arguments.
    """
    return run_command(_bundle, arguments, "python -m convert.bundle")


@click.group()
def _bundle() -> None:
    """Carry an image, or models, to a host without a network: signed, in one file."""


@_bundle.command("keygen")
@click.argument("key", metavar="KEY", type=FILE, help="The private key's file. KEY.pub is written beside it.")
def _keygen(key: Path) -> None:
    """Make a pair of keys: KEY and KEY.pub.

    They are Ed25519 keys: KEY signs, and every host gets KEY.pub to verify with.
    """
    from convert.bundle.keys import make_keys  # noqa: PLC0415  as the module's docstring says

    public = make_keys(key)
    print(f"wrote {key}, to sign with: whoever has it is trusted; and {public}, for every host", file=sys.stderr)


@_bundle.command("sbom")
@click.argument("image", metavar="IMAGE", help="The image's name in podman's store.")
def _sbom(image: str) -> None:
    """Print an image's bill of materials (CycloneDX)."""
    from convert.bundle.shipping import list_materials  # noqa: PLC0415  as above

    print(list_materials(image).decode(), end="")


@_bundle.command("sign")
@_key_option
@models_dir_option
def _sign(key: Path, models_dir: Path) -> None:
    """Sign the newest version of every model."""
    from convert.bundle.keys import read_signing_key  # noqa: PLC0415  as above
    from convert.bundle.signing import sign_newest  # noqa: PLC0415  as above

    for version, is_new in sign_newest(models_dir, read_signing_key(key)).items():
        print(f"{version} {'is signed now' if is_new else 'was signed before'}", file=sys.stderr)


@_bundle.command("write")
@click.argument("bundle", metavar="FILE", type=FILE, help="The bundle to write.")
@click.option("--image", metavar="IMAGE", help="Pack this image of podman's store instead of the models.")
@_key_option
@models_dir_option
def _write(bundle: Path, image: str | None, key: Path, models_dir: Path) -> None:
    """Sign the newest versions and pack them.

    Signs as `sign` does, packs the versions, or an image, into FILE and prints its path.
    """
    from convert.bundle.keys import read_signing_key  # noqa: PLC0415  as above
    from convert.bundle.shipping import ship_image, ship_models  # noqa: PLC0415  as above

    signing_key = read_signing_key(key)
    if image:
        ship_image(bundle, image, signing_key)
    else:
        ship_models(bundle, models_dir, signing_key)
    print(bundle)


@_bundle.command("load")
@click.argument("bundle", metavar="FILE", type=FILE, help="The bundle to read.")
@click.option(
    "--trusted-keys",
    metavar="PATH",
    required=True,
    envvar="COROLLA_TRUSTED_KEYS",
    show_envvar=True,
    help="A PEM file, or a folder of them, with the public keys whose signatures are accepted.",
)
@click.option("--tag", metavar="NAME", help="A further name for the image that is loaded.")
@models_dir_option
def _load(bundle: Path, trusted_keys: str, tag: str | None, models_dir: Path) -> None:
    """Verify a bundle and install what it brings.

    An image is loaded into podman's store. Models are published as versions, all of them or none.
    """
    with open_bundle(bundle, read_keys(trusted_keys)) as opened:
        if opened.checksums.has_image:
            image = install_image(opened, tag)
            print(f"{image} is loaded", file=sys.stderr)
            return
        publish(opened, models_dir)
