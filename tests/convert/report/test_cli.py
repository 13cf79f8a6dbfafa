"""The command finds a run and its proof, or makes the proof, and writes one page into the run's folder."""

import hashlib
import runpy
from pathlib import Path

import attrs
import pytest

from convert.publishing.publish import CERTIFICATE_FILE
from convert.report.cli import main
from convert.report.published import find_published
from server.models.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, MODEL_FILE
from tests.convert.conftest import Bench
from tests.support.workshop import IRIS_CSV, Workshop
from training.cli import main as training_main
from training.runlog import RunLog


def report(place: Workshop | Bench, *options: str) -> int:
    return main([*options, "--data-dir", str(place.data_dir), "--models-dir", str(place.models_dir)])


def test_the_newest_runs_page_is_written_from_its_published_version(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunLog(workshop.data_dir).find(1)
    result = find_published(workshop.models_dir, run)
    assert result is not None
    assert result.compiled.model == (workshop.version_dir / MODEL_FILE).read_bytes()
    assert result.attempts[-1].fault is None
    for _ in range(2):  # the second takes the place of the first
        assert report(workshop) == 0
    page = workshop.data_dir / "runs" / "1" / "report.html"
    assert capsys.readouterr() == (f"{page}\n" * 2, "")
    assert result.proof.certificate.model_sha256 in page.read_text(encoding="utf-8")
    assert not list(page.parent.glob(".report-*"))


@pytest.mark.usefixtures("few_rows")
def test_a_published_run_goes_before_a_newer_one_that_is_not(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    training = ["train", str(IRIS_CSV), "Species", "--drop", "Id", "--data-dir", str(workshop.data_dir)]
    assert training_main([*training, "--estimator", "gaussian_nb"]) == 0
    capsys.readouterr()
    assert report(workshop) == 0
    assert capsys.readouterr() == (f"{workshop.data_dir / 'runs' / '1' / 'report.html'}\n", "")
    (workshop.version_dir / MODEL_FILE).write_bytes(b"")
    assert report(workshop) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{workshop.data_dir / 'runs' / '2' / 'report.html'}\n"
    assert printed.err == "run 2 is not published: it is compiled and proven for this report\n"


@pytest.mark.usefixtures("few_rows")
def test_a_run_that_is_not_published_is_proven_anew(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    (workshop.version_dir / MODEL_FILE).write_bytes(b"")
    assert report(workshop, "1") == 0
    printed = capsys.readouterr()
    assert printed.err == "run 1 is not published: it is compiled and proven for this report\n"
    assert "Proven: on all" in Path(printed.out.strip()).read_text(encoding="utf-8")


def test_only_a_version_of_this_very_run_with_the_proof_of_this_very_model_is_taken(workshop: Workshop) -> None:
    run = RunLog(workshop.data_dir).find(1)
    for stranger in ({"id": 2}, {"dataset_sha256": "0"}, {"started_at": "2020-01-01T00:00:00+00:00"}):
        assert find_published(workshop.models_dir, attrs.evolve(run, **stranger)) is None
    assert find_published(workshop.models_dir / "none", run) is None
    certificate = (workshop.version_dir / CERTIFICATE_FILE).read_bytes()
    digest = workshop.manifest().files[MODEL_FILE].encode()
    for changed in (b"{}", certificate.replace(digest, b"0" * 64)):
        republish(workshop, changed)
        assert find_published(workshop.models_dir, run) is None
    republish(workshop, certificate)
    assert find_published(workshop.models_dir, run) is not None


def republish(workshop: Workshop, certificate: bytes) -> None:
    """Put another certificate into the version, with the checksums that go with it."""
    manifest = workshop.manifest()
    files = manifest.files | {CERTIFICATE_FILE: hashlib.sha256(certificate).hexdigest()}
    content = attrs.evolve(manifest, files=files).to_json()
    (workshop.version_dir / CERTIFICATE_FILE).write_bytes(certificate)
    (workshop.version_dir / MANIFEST_FILE).write_bytes(content)
    (workshop.version_dir / MANIFEST_SUM_FILE).write_text(hashlib.sha256(content).hexdigest())


def test_without_a_finished_run_there_is_nothing_to_report_on(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(bench) == 1
    assert capsys.readouterr().err == f"refused: no finished run in {bench.data_dir}\n"
    assert bench.train("--drop", "Id", "--estimator", "convert_own_module:Own") == 1
    capsys.readouterr()
    assert report(bench, "1") == 1
    refusal = "refused: run 1 is failed: expected a finished one; its reason: TrainingError: "
    assert capsys.readouterr().err.startswith(refusal)


def test_the_command_has_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["report", "--help"])
    with pytest.raises(SystemExit) as ending:
        runpy.run_module("convert.report", run_name="__main__")
    assert ending.value.code == 0
    assert "Default: the newest published run, or else the newest finished one." in " ".join(
        capsys.readouterr().out.split()
    )
