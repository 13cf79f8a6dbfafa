"""The recipes do what the README says of them, each run as a person would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.contract.manifest import Manifest
from server.models.repository import list_versions
from tests.support.server_process import ROOT
from tests.support.workshop import IRIS_CSV, IRIS_ROW, Workshop

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
        assert round(manifest.run.test_score, 3) == 0.947


def test_train_export_takes_another_table_with_options_and_spaces(tmp_path: Path) -> None:
    table = tmp_path / "my flowers.csv"
    table.write_text(IRIS_CSV.read_text().replace("Id,", "The number,"))
    printed = just(tmp_path, "train-export", str(table), "Species", "--drop", "The number", "--name", "lily")
    assert printed.strip() == str(tmp_path / "models" / "lily" / "1")


def test_train_export_asks_for_the_target_of_another_table(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        just(tmp_path, "train-export", "pets.csv")
    assert refused.value.returncode == 2
    assert "name the column to predict: just train-export pets.csv TARGET" in refused.value.stderr


def test_train_export_hands_options_to_training_and_to_convert_and_names_both(tmp_path: Path) -> None:
    table = tmp_path / "flowers.csv"
    table.write_text(IRIS_CSV.read_text())
    options = ("--drop", "Id", "--estimator", "gaussian_nb", "--allow-mismatch", "3", "--models-dir", f"{tmp_path}/m")
    folder = Path(just(tmp_path, "train-export", str(table), "Species", *options).strip())
    assert folder == tmp_path / "m" / "flowers" / "1"
    assert Manifest.from_json((folder / "manifest.json").read_bytes()).run.estimator == "gaussian_nb"
    for arguments in (("--help",), (str(table), "Species", "--allow-mismatch", "3", "--help")):
        told = just(tmp_path, "train-export", *arguments)
        assert "--estimator NAME" in told
        assert "--allow-mismatch N" in told


def test_models_are_signed_packed_carried_and_loaded(tmp_path: Path, workshop: Workshop) -> None:
    key, file = str(tmp_path / "my key"), str(tmp_path / "my models.tar")
    just(tmp_path, "keygen", key)
    assert just(workshop.models_dir.parent, "bundle", "models", file, key).strip() == file
    just(tmp_path, "load-bundle", file, "--trusted-keys", f"{key}.pub")
    assert list_versions(tmp_path / "models") == {"iris": [1]}


def test_a_bundle_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        just(tmp_path, "bundle", "everything")
    assert "expected image or models, got everything" in refused.value.stderr
