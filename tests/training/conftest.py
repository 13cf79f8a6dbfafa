"""What tests of training need: small tables, a data directory, and a trainer that stays in its fit until it is told."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support.server_process import wait_for
from tests.support.workshop import IRIS_CSV
from training.dataset import Dataset, read_dataset
from training.runlog import RunConfig

Read = Callable[..., Dataset]

ROOT = Path(__file__).parents[2]
SLOW_ESTIMATOR = """
import pathlib
import signal
import threading

from sklearn.linear_model import LogisticRegression


class Slow(LogisticRegression):
    def fit(self, features, target):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pathlib.Path("fitting").touch()
        threading.Event().wait(120)


def make():
    return Slow()
"""

CONFIG = RunConfig(
    dataset="iris",
    dataset_sha256="00",
    target="Species",
    task="classification",
    columns={"SepalLengthCm": "number", "Species": "category"},
    rows=150,
    estimator="log_reg",
    estimator_name="log_reg",
    parameters={"C": 1.0, "step": "Scaler()"},
    seed=42,
    test_share=0.25,
    python="3.11",
    scikit_learn="1.9",
)


@attrs.frozen(eq=False)
class SlowTrainer:
    """A process that has logged its run and is busy fitting."""

    process: subprocess.Popen[bytes]
    data_dir: Path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


@pytest.fixture
def read(source: Path) -> Read:
    """Read a dataset from what a CSV file holds."""

    def read(content: str | bytes, target: str = "y", **options: Any) -> Dataset:
        source.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_dataset(source, target, name="table", **options)

    return read


@pytest.fixture
def dataset_of(tmp_path: Path) -> Callable[[list[str]], Dataset]:
    """Make a dataset of labels, with one feature that counts the rows."""

    def make(labels: list[str]) -> Dataset:
        source = tmp_path / "labels.csv"
        source.write_text("n,y\n" + "".join(f"{number},{label}\n" for number, label in enumerate(labels)))
        return read_dataset(source, "y", name="labels")

    return make


@pytest.fixture
def slow_trainer(tmp_path: Path, data_dir: Path) -> Iterator[SlowTrainer]:
    (tmp_path / "slow_module.py").write_text(SLOW_ESTIMATOR)
    command = [sys.executable, "-m", "training", "train", str(IRIS_CSV), "Species", "--drop", "Id"]
    with subprocess.Popen(
        [*command, "--estimator", "slow_module:make", "--data-dir", str(data_dir)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for("trainer in its fit", (tmp_path / "fitting").exists)
            yield SlowTrainer(process, data_dir)
        finally:
            process.kill()
