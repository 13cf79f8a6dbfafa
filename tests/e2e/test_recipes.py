"""The recipes do what the README says of them, each run as a person would."""

import os
import subprocess
import sys
from pathlib import Path

from server.manifest import Manifest
from tests.conftest import IRIS_CSV, IRIS_ROW
from tests.server_process import ROOT

JUST = Path(sys.executable).with_name("just")


def just(workplace: Path, *arguments: str) -> str:
    """Runs a recipe with its data and models in a folder of the test's own, and gives what it prints."""
    directories = {"COROLLA_DATA_DIR": str(workplace / "data"), "COROLLA_MODELS_DIR": str(workplace / "models")}
    ended = subprocess.run(
        [JUST, *arguments], cwd=ROOT, env={**os.environ, **directories}, check=True, capture_output=True, text=True
    )
    return ended.stdout


def test_train_export_publishes_iris_and_then_its_second_version(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = Path(just(tmp_path, "train-export").strip())
        assert folder == tmp_path / "models" / "iris" / str(number)
        manifest = Manifest.from_json((folder / "manifest.json").read_bytes())
        assert manifest.model_name == f"log_reg_{number}"
        assert [feature.name for feature in manifest.signature.features] == list(IRIS_ROW)
        assert round(manifest.run.test_accuracy, 3) == 0.947


def test_train_export_takes_another_table_with_options_and_spaces(tmp_path: Path) -> None:
    table = tmp_path / "my flowers.csv"
    table.write_text(IRIS_CSV.read_text().replace("Id,", "The number,"))
    printed = just(tmp_path, "train-export", str(table), "Species", "--drop", "The number", "--name", "lily")
    assert printed.strip() == str(tmp_path / "models" / "lily" / "1")
