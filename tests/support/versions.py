"""Published versions made by hand, without a parity proof."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import attrs
import msgspec

from server.codec.json_rows import Codec
from server.contract.manifest import GoldenRow, Manifest
from server.contract.signature import Signature
from server.models.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, MODEL_FILE, SIGNED_FILE
from server.models.session import Session
from tests.support.workshop import Workshop

Fields = dict[str, float | int | bool | str | None]


def publish_model(models_dir: Path, like: Manifest, name: str, model: bytes) -> None:
    """Publish a compiled model with the signature of another one; its own answers become the golden answers."""
    golden = answer_golden_rows([known.row for known in like.golden[:2]], like.signature, model)
    write_version(models_dir, attrs.evolve(like, name=name, model_name=f"{name}_1", golden=golden), model)


def answer_golden_rows(rows: Sequence[Fields], signature: Signature, model: bytes) -> tuple[GoldenRow, ...]:
    """Return golden rows with the answers of a compiled model."""
    codec = Codec(signature, "")
    answers = Session(model, signature).run([codec.decode_row(msgspec.json.encode(row)) for row in rows])
    pairs = zip(rows, answers, strict=True)
    return tuple(GoldenRow(row, answer.label, tuple(answer.probabilities)) for row, answer in pairs)


def write_version(models_dir: Path, facts: Manifest, model: bytes) -> None:
    """Write version 1 of a model with these facts, without a parity proof."""
    files = {MODEL_FILE: hashlib.sha256(model).hexdigest()}
    manifest = attrs.evolve(facts, version=1, files=files).to_json()
    folder = models_dir / facts.name / "1"
    folder.mkdir(parents=True)
    (folder / MODEL_FILE).write_bytes(model)
    (folder / MANIFEST_FILE).write_bytes(manifest)
    (folder / MANIFEST_SUM_FILE).write_text(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n")


def add_version(workshop: Workshop, number: int) -> Path:
    """Publish version 1 again under another number, without the signature of its manifest."""
    folder = workshop.models_dir / "iris" / str(number)
    shutil.copytree(workshop.version_dir, folder)
    (folder / SIGNED_FILE).unlink(missing_ok=True)
    manifest = (folder / MANIFEST_FILE).read_bytes().replace(b'"version": 1,', b'"version": %d,' % number)
    (folder / MANIFEST_FILE).write_bytes(manifest)
    (folder / MANIFEST_SUM_FILE).write_text(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n")
    return folder
