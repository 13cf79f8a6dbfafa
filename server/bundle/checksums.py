"""Checksums: the members of a bundle in their order and their hashes, which SHA256SUMS holds in sha256sum's format."""

import re
from collections.abc import Mapping

import attrs

from server.contract.names import name_fault
from server.errors import BundleError
from server.models.repository import is_version_name

CHECKSUMS_FILE = "SHA256SUMS"
CHECKSUMS_SIGNATURE_FILE = "SHA256SUMS.sig"
SBOM_FILE = "sbom.cdx.json"
IMAGE_FILE = "image.tar"

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._/-]+)\n")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@attrs.frozen(order=True)
class VersionKey:
    """The name and number of a version.

    Attributes:
        name: The model's name.
        number: The version's number.
    """

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}/{self.number}"


@attrs.frozen
class Checksums:
    """The members of a bundle that follow the checksums and their signature.

    Attributes:
        digests: The SHA-256 (hex) of each member, by name, in the bundle's order.
    """

    digests: Mapping[str, str]

    def __attrs_post_init__(self) -> None:
        """Refuse members that are neither those of an image nor those of versions."""
        first, *rest = self.digests or [""]
        if first != SBOM_FILE or (rest != [IMAGE_FILE] and (not rest or IMAGE_FILE in rest)):
            raise BundleError(f"expected {SBOM_FILE} and then {IMAGE_FILE} or versions, got {', '.join(self.digests)}")
        if rest != [IMAGE_FILE]:
            for name in rest:
                split_name(name)

    @property
    def has_image(self) -> bool:
        """True if the bundle carries an image, False if it carries versions."""
        return IMAGE_FILE in self.digests

    @property
    def versions(self) -> dict[VersionKey, dict[str, str]]:
        """The SHA-256 of each file, by its name, of every version in the bundle."""
        found: dict[VersionKey, dict[str, str]] = {}
        for name, digest in self.digests.items():
            if name not in {SBOM_FILE, IMAGE_FILE}:
                version, file = split_name(name)
                found.setdefault(version, {})[file] = digest
        return found

    @classmethod
    def from_bytes(cls, content: bytes) -> "Checksums":
        """Read the checksums, whose signature must have been verified.

        Raises:
            BundleError: If a line is malformed, or a name is listed twice or cannot be in a bundle.
        """
        lines = content.decode("ascii", "replace").splitlines(keepends=True)
        matches = [_LINE.fullmatch(line) for line in lines]
        pairs = [(match[2], match[1]) for match in matches if match]
        if len(pairs) != len(lines) or len(dict(pairs)) != len(lines):
            raise BundleError(f"expected lines of a SHA-256 and a name, each name once, in {CHECKSUMS_FILE}")
        return cls(dict(pairs))

    def to_bytes(self) -> bytes:
        """Return the checksums in the format of sha256sum."""
        return "".join(f"{digest}  {name}\n" for name, digest in self.digests.items()).encode("ascii")


def member_name(version: VersionKey, file: str) -> str:
    """Return the member's name of a version's file."""
    return f"models/{version}/{file}"


def split_name(name: str) -> tuple[VersionKey, str]:
    """Return the version and the file of a member's name.

    Raises:
        BundleError: If it is not the name of a version's file, and so could lead to another folder.
    """
    match name.split("/"):
        case ["models", model, number, file] if not name_fault(model) and is_version_name(number):
            if _FILE.fullmatch(file):
                return VersionKey(model, int(number)), file
    raise BundleError(f"expected a name such as models/iris/1/model.onnx, got {name!r}")
