"""The command `python -m convert.bundle`: keys, signatures, and one file that carries an image or models to a host.

What only makes keys, signatures and bundles is imported where it is needed: a host that loads has the server's own
dependencies and no more.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from convert.bundle.podman import install_image
from convert.places import add_models_dir
from server.bundle.install import install_versions
from server.bundle.opening import open_bundle
from server.errors import CorollaError
from server.models.trust import read_trusted_keys

REFUSED = 1


def main(arguments: Sequence[str]) -> int:
    """Does what one of its words says.

    Returns:
        The exit code: 0, or 1 where a key, a version or a bundle is refused; argparse exits with 2 for wrong arguments.
    """
    options = _make_parser().parse_args(arguments)
    try:
        options.do(options)
    except (CorollaError, ValueError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED
    return 0


def _keygen(options: argparse.Namespace) -> None:
    from convert.bundle.keys import make_keys  # noqa: PLC0415  as the module's docstring says

    public = make_keys(options.key)
    print(
        f"wrote {options.key}, to sign with: whoever has it is trusted; and {public}, for every host", file=sys.stderr
    )


def _sign(options: argparse.Namespace) -> None:
    from convert.bundle.keys import read_signing_key  # noqa: PLC0415  as above
    from convert.bundle.signing import sign_newest  # noqa: PLC0415  as above

    for version, is_new in sign_newest(options.models_dir, read_signing_key(options.key)).items():
        print(f"{version} {'is signed now' if is_new else 'was signed before'}", file=sys.stderr)


def _write(options: argparse.Namespace) -> None:
    from convert.bundle.keys import read_signing_key  # noqa: PLC0415  as above
    from convert.bundle.shipping import ship_image, ship_models  # noqa: PLC0415  as above

    key = read_signing_key(options.key)
    if options.image:
        ship_image(options.bundle, options.image, key)
    else:
        ship_models(options.bundle, options.models_dir, key)
    print(options.bundle)


def _sbom(options: argparse.Namespace) -> None:
    from convert.bundle.shipping import list_materials  # noqa: PLC0415  as above

    print(list_materials(options.image).decode(), end="")


def _load(options: argparse.Namespace) -> None:
    trusted = read_trusted_keys(options.trusted_keys)
    with open_bundle(options.bundle, trusted) as bundle:
        if bundle.checksums.has_image:
            image = install_image(bundle, options.tag)
            print(f"{image} is loaded", file=sys.stderr)
            return
        published = install_versions(bundle, options.models_dir)
        for version in bundle.checksums.versions:
            print(f"{version} {'is published' if version in published else 'was there already'}", file=sys.stderr)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert.bundle",
        description="Carry an image, or models, to a host without a network: signed, in one file.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    keygen = commands.add_parser("keygen", help="make a pair of keys: KEY and KEY.pub")
    keygen.add_argument("key", metavar="KEY", type=Path, help="the private key's file")
    keygen.set_defaults(do=_keygen)
    sbom = commands.add_parser("sbom", help="print an image's bill of materials")
    sbom.add_argument("image", metavar="IMAGE", help="its name in podman's store")
    sbom.set_defaults(do=_sbom)
    sign = commands.add_parser("sign", help="sign the newest version of every model")
    _add_signing(sign, _sign)
    write = commands.add_parser("write", help="sign the same versions, and pack them")
    write.add_argument("bundle", metavar="FILE", type=Path, help="the bundle")
    write.add_argument("--image", help="pack this image of podman's instead")
    _add_signing(write, _write)
    _add_loading(commands.add_parser("load", help="verify a bundle, and publish what it brings"))
    return parser


def _add_signing(command: argparse.ArgumentParser, do: Callable[[argparse.Namespace], None]) -> None:
    command.add_argument("--key", type=Path, required=True, help="the private key's file")
    add_models_dir(command)
    command.set_defaults(do=do)


def _add_loading(load: argparse.ArgumentParser) -> None:
    keys = os.environ.get("COROLLA_TRUSTED_KEYS")
    load.add_argument("bundle", metavar="FILE", type=Path, help="the bundle")
    load.add_argument(
        "--trusted-keys",
        default=keys,
        required=not keys,
        help="a PEM file or folder of public keys (variable: COROLLA_TRUSTED_KEYS)",
    )
    load.add_argument("--tag", help="one more name for the image that is loaded")
    add_models_dir(load)
    load.set_defaults(do=_load)
