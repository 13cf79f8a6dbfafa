"""A bundle on its way from the workshop that wrote it to a host, and what another could make of it."""

import hashlib
import tarfile
from pathlib import Path

import attrs

from convert.bundle.cli import main
from convert.bundle.keys import SigningKey, read_signing_key
from server.bundle.archive import END, Member
from server.bundle.checksums import CHECKSUMS_FILE, CHECKSUMS_SIGNATURE_FILE
from tests.support.workshop import Workshop

IRIS_FILES = (
    "manifest.json",
    "manifest.json.sha256",
    "manifest.sig",
    "certificate.json",
    "model.onnx",
    "report.html",
)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return all that is in a folder: files with their content, folders with None."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@attrs.frozen
class Journey:
    """A bundle, the keys, and a host that has another model already."""

    root: Path

    @property
    def bundle(self) -> Path:
        return self.root / "corolla-bundle.tar"

    @property
    def models_dir(self) -> Path:
        return self.root / "host" / "models"

    @property
    def key(self) -> SigningKey:
        return read_signing_key(self.root / "key")

    def write(self, workshop: Workshop) -> int:
        return main(["write", str(self.bundle), *self.flags_of_writing(workshop)])

    def flags_of_writing(self, workshop: Workshop) -> list[str]:
        return ["--key", str(self.root / "key"), "--models-dir", str(workshop.models_dir)]

    def flags_of_loading(self) -> list[str]:
        return [str(self.bundle), "--trusted-keys", str(self.root / "key.pub"), "--models-dir", str(self.models_dir)]

    def load(self) -> int:
        return main(["load", *self.flags_of_loading()])

    def forge(self, content: bytes) -> None:
        self.bundle.write_bytes(content)

    def members(self) -> dict[str, bytes]:
        """Return the bundle's members as Python's own tar reader finds them."""
        with tarfile.open(self.bundle) as archive:
            return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]

    def sign_members(self, members: dict[str, bytes]) -> bytes:
        """Return a bundle of other members, validly signed: what a careless owner of the key could make."""
        checksums = b"".join(f"{hashlib.sha256(m).hexdigest()}  {name}\n".encode() for name, m in members.items())
        return pack({CHECKSUMS_FILE: checksums, CHECKSUMS_SIGNATURE_FILE: self.key.sign(checksums), **members})


def pack(members: dict[str, bytes]) -> bytes:
    packed = [Member(name, len(m)).to_header() + m + Member(name, len(m)).padding for name, m in members.items()]
    return b"".join(packed) + END
