"""The model repository on disk: lists versions, and reads ``models/<name>/<version>/`` with its hashes verified."""

import hashlib
from pathlib import Path

import attrs

from server.contract.manifest import Manifest
from server.contract.names import name_fault
from server.errors import RefusedError
from server.models.trust import TrustedKeys

MANIFEST_FILE = "manifest.json"
MANIFEST_SUM_FILE = "manifest.json.sha256"
SIGNED_FILE = "manifest.sig"
MODEL_FILE = "model.onnx"
REPORT_FILE = "report.html"


@attrs.frozen
class Package:
    """One version as read from disk, with verified hashes.

    Attributes:
        manifest: The facts of the version.
        model: The ONNX bytes that were hashed.
    """

    manifest: Manifest
    model: bytes


def list_versions(models_dir: Path) -> dict[str, list[int]]:
    """List the version numbers of each model, newest first. Folders with other names are ignored."""
    if not models_dir.is_dir():
        return {}
    found = {
        folder.name: list_numbers(folder)
        for folder in sorted(models_dir.iterdir())
        if folder.is_dir() and name_fault(folder.name) is None
    }
    return {name: numbers for name, numbers in found.items() if numbers}


def count_model_bytes(models_dir: Path) -> int:
    """Return the total size of the newest compiled model of each name; 0 if one of them cannot be read."""
    try:
        newest = [models_dir / name / str(numbers[0]) for name, numbers in list_versions(models_dir).items()]
        return sum((folder / MODEL_FILE).stat().st_size for folder in newest)
    except OSError:
        return 0


def list_numbers(model_dir: Path) -> list[int]:
    """List the version numbers in the folder of one model, newest first."""
    names = [entry.name for entry in model_dir.iterdir() if entry.is_dir()]
    return sorted((int(name) for name in names if is_version_name(name)), reverse=True)


def is_version_name(name: str) -> bool:
    """Return True if a folder's name is a version: ASCII digits without a leading zero, so one folder a number."""
    return name.isascii() and name.isdigit() and not name.startswith("0")


def read_package(folder: Path, name: str, number: int, trusted: TrustedKeys | None = None) -> Package:
    """Read one version, and verify its hashes and, if keys are trusted, the signature of its manifest.

    Args:
        folder: The folder with its files.
        name: The model name that its manifest must have.
        number: The version number that its manifest must have.
        trusted: Keys of which one must have signed the manifest; None requires no signature.

    Raises:
        RefusedError: If a file is missing, cannot be read or is not the published one, or a signature is missing.
    """
    manifest_bytes = _read(folder, MANIFEST_FILE)
    if trusted is not None and not trusted.have_signed(manifest_bytes, _read(folder, SIGNED_FILE)):
        raise RefusedError(f"{SIGNED_FILE} is not the signature of {MANIFEST_FILE} by one of {trusted}")
    _verify(MANIFEST_FILE, manifest_bytes, _read(folder, MANIFEST_SUM_FILE).decode("ascii", "replace").split(" ")[0])
    manifest = Manifest.from_json(manifest_bytes)
    if (manifest.name, manifest.version) != (name, number):
        raise RefusedError(f"{MANIFEST_FILE} is of {manifest.name}/{manifest.version}, its folder is {name}/{number}")
    if MODEL_FILE not in manifest.files:
        raise RefusedError(f"{MANIFEST_FILE} lists no {MODEL_FILE}")
    contents = {file: _read(folder, file) for file in manifest.files}
    for file, content in contents.items():
        _verify(file, content, manifest.files[file])
    return Package(manifest=manifest, model=contents[MODEL_FILE])


def read_report(folder: Path, manifest: Manifest) -> bytes:
    """Read the HTML report of a version.

    Raises:
        RefusedError: If it has no report, or the file is not the published one.
    """
    if REPORT_FILE not in manifest.files:
        raise RefusedError(f"{MANIFEST_FILE} lists no {REPORT_FILE}")
    content = _read(folder, REPORT_FILE)
    _verify(REPORT_FILE, content, manifest.files[REPORT_FILE])
    return content


def _read(folder: Path, file: str) -> bytes:
    if Path(file).name != file:
        raise RefusedError(f"{MANIFEST_FILE} names a file outside its folder: {file!r}")
    try:
        return (folder / file).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise RefusedError(f"{file} cannot be read: {reason}") from error


def _verify(file: str, content: bytes, expected: str) -> None:
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise RefusedError(f"{file} is not what was published: expected SHA-256 {expected!r}, got {actual!r}")
