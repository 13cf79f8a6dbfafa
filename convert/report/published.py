"""Find the published version of a run, with its compiled model and its proof."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import msgspec

from convert.compile.export import Compiled
from convert.parity.proof import Certificate, Proof
from convert.publishing.precision import Attempt, SearchResult
from convert.publishing.publish import CERTIFICATE_FILE
from server.contract.manifest import RunFacts
from server.errors import RefusedError
from server.models.repository import Package, list_versions, read_package
from server.models.session import Session
from training.runlog import Run


@attrs.frozen
class _Record:
    """The part of certificate.json beside the proof; ``rungs`` is its key for the attempts."""

    rungs: tuple[Attempt, ...]


def find_published(models_dir: Path, run: Run) -> SearchResult | None:
    """Return the newest sound version of a run as it was proven; None if there is none.

    Raises:
        RefusedError: If this host cannot load its model.
    """
    for folder, package in _read_packages(models_dir):
        if _is_of(package.manifest.run, run) and CERTIFICATE_FILE in package.manifest.files:
            return _read(folder, package)
    return None


def find_newest_published(models_dir: Path, runs: Sequence[Run]) -> Run | None:
    """Return the last of the runs that has a sound version; None if none has."""
    published = [package.manifest.run for _, package in _read_packages(models_dir)]
    return next((run for run in reversed(runs) if any(_is_of(facts, run) for facts in published)), None)


def _read_packages(models_dir: Path) -> Iterator[tuple[Path, Package]]:
    """Yield the folder and the content of every sound version, the newest of a model first."""
    for name, numbers in list_versions(models_dir).items():
        for number in numbers:
            folder = models_dir / name / str(number)
            try:
                yield folder, read_package(folder, name, number)
            except RefusedError:
                continue


def _is_of(facts: RunFacts, run: Run) -> bool:
    # Another data directory has its own run of this number.
    return (facts.id, facts.dataset_sha256, facts.started_at) == (run.id, run.dataset_sha256, run.started_at)


def _read(folder: Path, package: Package) -> SearchResult | None:
    content = (folder / CERTIFICATE_FILE).read_bytes()
    try:
        certificate = msgspec.json.decode(content, type=Certificate)
        record = msgspec.json.decode(content, type=_Record)
    except msgspec.DecodeError:
        return None  # an older format: the run is proven anew
    if certificate.model_sha256 != hashlib.sha256(package.model).hexdigest():
        return None
    compiled = Compiled(package.model, package.manifest.signature)
    session = Session(compiled.model, compiled.signature)
    return SearchResult(compiled, session, Proof(certificate, package.manifest.golden), record.rungs)
