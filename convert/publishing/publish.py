"""Publish a compiled model that is proven equal as models/<name>/<version>/, whole or not at all.

The files are staged in the model's folder, flushed to the disk, and moved into place by one rename. A lock on the
folder is held meanwhile, so that two publishers never take the same number. What a killed publisher staged is removed.
"""

import hashlib
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import attrs
import msgspec

from convert.compile.export import Compiled
from convert.errors import ConvertError
from convert.parity.proof import Certificate
from convert.publishing.precision import Attempt
from server.contract.manifest import FORMAT, GoldenRow, Manifest, RunFacts
from server.contract.names import name_fault
from server.disk import STAGING, locked, sync_folder, write_file
from server.models.catalog import load_model
from server.models.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, MODEL_FILE, REPORT_FILE, list_versions

TOOLS = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy", "pandas", "skops")
CERTIFICATE_FILE = "certificate.json"


@attrs.frozen
class Publication:
    """The content of a version.

    Attributes:
        name: The model's name in the repository and in routes.
        model_name: The name of the run, which clients see in answers.
        compiled: The compiled model.
        certificate: The record of its parity proof.
        attempts: The precisions that were tried, with the faults of those that were not taken.
        golden: The rows that each host replays before it serves.
        run: The facts of the run that it comes from.
        report: The report as HTML; None leaves it out.
    """

    name: str
    model_name: str
    compiled: Compiled
    certificate: Certificate
    attempts: tuple[Attempt, ...]
    golden: tuple[GoldenRow, ...]
    run: RunFacts
    report: bytes | None = None


def check_name(name: str) -> str:
    """Return the name if it can be a model's.

    Raises:
        ConvertError: If it is reserved or does not match the pattern of names.
    """
    if fault := name_fault(name):
        raise ConvertError(f"{fault}; --name chooses another")
    return name


def newest_number(models_dir: Path, name: str) -> int:
    """Return the number of a model's newest version, sound or not; 0 if it has none."""
    return max(list_versions(models_dir).get(name, []), default=0)


def publish(models_dir: Path, publication: Publication, after: int | None = None) -> Path:
    """Publish the next version of a model.

    Args:
        models_dir: The model repository.
        publication: The content of the version.
        after: The newest number when the gates were checked; None skips the check that it still is.

    Returns:
        The version's folder.

    Raises:
        ConvertError: If the certificate failed or belongs to another model, the name cannot be a model's, or another
            version was published since.
        RefusedError: If the server would not serve the version.
    """
    if not (publication.certificate.passed and publication.golden):
        raise ConvertError("a model whose parity is not proven is not published")
    if publication.certificate.model_sha256 != hashlib.sha256(publication.compiled.model).hexdigest():
        raise ConvertError("the certificate is of another model")
    folder = models_dir / check_name(publication.name)
    with locked(folder):
        newest = newest_number(models_dir, publication.name)
        if after not in {None, newest}:
            raise ConvertError(f"the newest version of {publication.name} is {newest} now, was {after}: convert again")
        staging = folder / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        number = newest + 1
        for file, content in _make_files(publication, number).items():
            write_file(staging / file, content)
        sync_folder(staging)
        load_model(staging, publication.name, number, threads=1)
        # This fails if anything is there: a version is never overwritten.
        staging.rename(folder / str(number))
        sync_folder(folder)
        sync_folder(models_dir)
    return folder / str(number)


def _make_files(publication: Publication, number: int) -> Mapping[str, bytes]:
    files = {MODEL_FILE: publication.compiled.model, CERTIFICATE_FILE: _encode_certificate(publication)}
    if publication.report is not None:
        files[REPORT_FILE] = publication.report
    manifest = Manifest(
        format=FORMAT,
        name=publication.name,
        version=number,
        model_name=publication.model_name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        signature=publication.compiled.signature,
        run=publication.run,
        tools={tool: version(tool) for tool in TOOLS},
        parity=publication.certificate.parity,
        golden=publication.golden,
    ).to_json()
    # In the format of sha256sum, so that `sha256sum --check` can be run by hand.
    manifest_sum = f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n".encode()
    return files | {MANIFEST_FILE: manifest, MANIFEST_SUM_FILE: manifest_sum}


def _encode_certificate(publication: Publication) -> bytes:
    """Return certificate.json, indented for people; its key for the attempts is ``rungs``."""
    record = attrs.asdict(publication.certificate) | {"rungs": [attrs.asdict(one) for one in publication.attempts]}
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
