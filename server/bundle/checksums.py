"""SHA256SUMS <-> Sums: what is in a bundle, in which order, and with which hashes, as sha256sum writes it."""

import re
from collections.abc import Mapping

import attrs

from server.contract.names import name_fault
from server.errors import BundleError
from server.models.repository import is_version_name

SUMS_FILE = "SHA256SUMS"
SUMS_SIGNED_FILE = "SHA256SUMS.sig"
SBOM_FILE = "sbom.cdx.json"
IMAGE_FILE = "image.tar"

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._/-]+)\n")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@attrs.frozen(order=True)
class VersionKey:
    """Which version of which model.

    Attributes:
        name: The model's name.
        number: The version's number.
    """

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}/{self.number}"


@attrs.frozen
class Sums:
    """The members of a bundle behind its sums and their signature.

    Attributes:
        digests: The SHA-256 (hex) of each, by name, in the bundle's order.
    """

    digests: Mapping[str, str]

    def __attrs_post_init__(self) -> None:
        """Makes sure that it is a bundle of one of both kinds."""
        first, *rest = self.digests or [""]
        if first != SBOM_FILE or (rest != [IMAGE_FILE] and (not rest or IMAGE_FILE in rest)):
            raise BundleError(f"expected {SBOM_FILE} and then {IMAGE_FILE} or versions, got {', '.join(self.digests)}")
        if rest != [IMAGE_FILE]:
            for name in rest:
                split_name(name)

    @property
    def has_image(self) -> bool:
        """Whether it is an image that the bundle brings, and not versions."""
        return IMAGE_FILE in self.digests

    @property
    def versions(self) -> dict[VersionKey, dict[str, str]]:
        """The SHA-256 of each file, by its name, for every version that the bundle brings."""
        found: dict[VersionKey, dict[str, str]] = {}
        for name, digest in self.digests.items():
            if name not in {SBOM_FILE, IMAGE_FILE}:
                version, file = split_name(name)
                found.setdefault(version, {})[file] = digest
        return found

    @classmethod
    def from_bytes(cls, content: bytes) -> "Sums":
        """Reads the sums, whose signature must have been verified.

        Raises:
            BundleError: If a line is none, a name is listed twice or may not be in a bundle.
        """
        lines = content.decode("ascii", "replace").splitlines(keepends=True)
        matches = [_LINE.fullmatch(line) for line in lines]
        pairs = [(match[2], match[1]) for match in matches if match]
        if len(pairs) != len(lines) or len(dict(pairs)) != len(lines):
            raise BundleError(f"expected lines of a SHA-256 and a name, each name once, in {SUMS_FILE}")
        return cls(dict(pairs))

    def to_bytes(self) -> bytes:
        """Writes the sums in the format of sha256sum."""
        return "".join(f"{digest}  {name}\n" for name, digest in self.digests.items()).encode("ascii")


def member_name(version: VersionKey, file: str) -> str:
    """Gives the name in a bundle of a version's file."""
    return f"models/{version}/{file}"


def split_name(name: str) -> tuple[VersionKey, str]:
    """Gives the version and the file that a member's name stands for.

    Raises:
        BundleError: If it is not the name of a version's file, and could lead elsewhere.
    """
    match name.split("/"):
        case ["models", model, number, file] if not name_fault(model) and is_version_name(number):
            if _FILE.fullmatch(file):
                return VersionKey(model, int(number)), file
    raise BundleError(f"expected a name such as models/iris/1/model.onnx, got {name!r}")
