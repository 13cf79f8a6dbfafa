"""Loaded and refused versions are reported with their golden rows, and loaded ones with their cost."""

import hashlib
from pathlib import Path

import attrs
import pytest

from server.codec.json_rows import Codec
from server.contract.manifest import GoldenRow
from server.doctor.checkup import LoadedModels, examine_golden_rows
from server.host.cgroup import Cores
from server.host.sizing import Sizes, make_plan, make_sizes
from server.models.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, MODEL_FILE
from server.models.session import Session
from server.settings import Settings
from tests.support.fakes import AlteredSession
from tests.support.workshop import Workshop

MB = 10**6


def sizes_for(settings: Settings) -> Sizes:
    return make_sizes(settings, make_plan(settings, Cores(1, None), 1000 * MB, 0), resident_bytes=90 * MB, models=1)


def flip_golden_row(workshop: Workshop) -> None:
    """Publishes the version as one whose first golden row the estimator answered otherwise."""
    manifest = workshop.manifest()
    first, *others = manifest.golden
    other = next(label for label in manifest.signature.labels if label != first.output)
    golden = (GoldenRow(first.row, other, first.probabilities), *others)
    text = attrs.evolve(manifest, golden=golden).to_json()
    (workshop.version_dir / MANIFEST_FILE).write_bytes(text)
    (workshop.version_dir / MANIFEST_SUM_FILE).write_text(hashlib.sha256(text).hexdigest())


def test_a_model_is_reported_as_it_would_be_served(iris_workshop: Workshop) -> None:
    loaded = LoadedModels(iris_workshop.models_dir, threads=1)
    settings = Settings(max_queue_rows=9)
    (served,) = loaded.examine(iris_workshop.models_dir, settings, sizes_for(settings))
    assert (served.name, served.version, served.model_name) == ("iris", 1, "log_reg_1")
    assert served.file_bytes == (iris_workshop.version_dir / MODEL_FILE).stat().st_size
    assert (served.max_queue_rows, served.on_worker, served.why) == (9, False, "measured")
    assert 0 < served.full_batch_row_us <= served.batch_us + served.row_us
    assert (served.replay.rows, served.replay.flips_alone, served.replay.flips_together) == (12, 0, 0)
    assert served.replay.max_difference <= served.replay.tolerance
    assert (loaded.refused, loaded.fault) == ((), "")


def test_a_version_with_a_flipped_golden_row_is_refused_and_its_flips_counted(workshop: Workshop) -> None:
    flip_golden_row(workshop)
    loaded = LoadedModels(workshop.models_dir, threads=1)
    assert (loaded.models, loaded.examine(workshop.models_dir, Settings(), sizes_for(Settings()))) == ([], ())
    (refused,) = loaded.refused
    assert refused.reason == "golden row 0 is not answered on this host as the estimator answered it"
    assert refused.replay is not None
    assert (refused.replay.flips_alone, refused.replay.flips_together) == (1, 1)


def test_a_version_that_was_tampered_with_is_refused_and_not_replayed(workshop: Workshop) -> None:
    (workshop.version_dir / MODEL_FILE).write_bytes(b"")
    (refused,) = LoadedModels(workshop.models_dir, threads=1).refused
    assert refused.reason.startswith("model.onnx is not what was published")
    assert refused.replay is None


def test_differences_in_a_batch_alone_are_reported(iris_workshop: Workshop) -> None:
    manifest = iris_workshop.manifest()
    sound = Session((iris_workshop.version_dir / MODEL_FILE).read_bytes(), manifest.signature)
    session = AlteredSession(sound, lambda answers: answers[::-1])
    found = examine_golden_rows(manifest, Codec(manifest.signature, manifest.model_name), session)
    assert found.flips_alone == 0
    assert found.flips_together > 0
    assert found.max_difference > 0.5


def test_a_repository_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)  # root, as whom tests may run, can read all there is
    loaded = LoadedModels(tmp_path, threads=1)
    assert loaded.models == []
    assert loaded.fault == f"{tmp_path} cannot be read: [Errno 13] Permission denied: '{tmp_path}'"
