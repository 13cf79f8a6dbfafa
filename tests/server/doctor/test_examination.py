"""The findings of all parts are in one report."""

from pathlib import Path

from server.doctor.budget import Budget
from server.doctor.examination import examine
from server.settings import Settings
from tests.support.workshop import Workshop


def test_a_server_that_does_not_start_leaves_a_report_without_load(iris_workshop: Workshop, tmp_path: Path) -> None:
    """The models are gone by the time when the server looks for them."""
    report = examine(Settings(models_dir=iris_workshop.models_dir), ["--models-dir", str(tmp_path)], Budget())
    assert len(report.served) == 1
    assert report.load is None
    assert report.load_fault.startswith(f"the server did not start: nothing to serve in {tmp_path}")
