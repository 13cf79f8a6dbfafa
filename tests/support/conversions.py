"""Conversions that compile in the test's own process. A child takes seconds to start, and has tests of its own.

Their results are read from the log of gates and from the models directory.
"""

import functools
import sqlite3
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from convert.cli import main
from convert.compile.export import Compiled, Precision, export
from convert.parity.probes import make_probes
from server.contract.manifest import Manifest
from server.contract.signature import Feature
from server.models.repository import read_package
from tests.convert.conftest import Bench
from tests.support.workshop import Workshop
from training.artifacts import load_artifacts
from training.runlog import RunLog

FEW_ROWS = 200
PAGE = b"<!doctype html>"


class CompilerHere:
    """Compiles as the child of `convert.compile.child.ChildCompiler` does."""

    def __init__(self, data_dir: Path, run_id: int) -> None:
        log = RunLog(data_dir)
        self._left = load_artifacts(log.folder(run_id), log.find(run_id))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Do nothing: there is no child to end."""

    def compile(self, features: tuple[Feature, ...], precision: Precision) -> Compiled:
        return export(self._left.estimator, features, precision)


class CompilerOfAnother(CompilerHere):
    """Compiles a logistic regression whose probabilities are more extreme than the run's."""

    def compile(self, features: tuple[Feature, ...], precision: Precision) -> Compiled:
        self._left.estimator[-1].coef_ *= 1.5
        return super().compile(features, precision)


def compile_here(monkeypatch: pytest.MonkeyPatch, compiler: type[CompilerHere] = CompilerHere) -> None:
    """Let the conversions of a test compile without a child, draw fewer rows and write no report."""
    monkeypatch.setattr("convert.publishing.candidate.ChildCompiler", compiler)
    make_few = functools.partial(make_probes, generated_rows=FEW_ROWS)
    monkeypatch.setattr("convert.publishing.candidate.make_probes", make_few)
    monkeypatch.setattr("convert.cli.make_report", lambda *_: PAGE)


def convert(place: Workshop | Bench, *options: str) -> int:
    """Run the command on the first run of a workshop or bench, unless the options name other runs."""
    run_ids = [] if options and options[0].isdigit() else ["1"]
    return main(["--data-dir", str(place.data_dir), "--models-dir", str(place.models_dir), *run_ids, *options])


def gates_of(place: Workshop | Bench) -> list[tuple[str, bool]]:
    """Return the gates in the log: the name of each, and True if it passed."""
    with closing(sqlite3.connect(place.data_dir / "database.sqlite")) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'gates'").fetchone():
            return []
        found = database.execute("SELECT name, passed FROM gates WHERE run_id > 0 ORDER BY rowid").fetchall()
    return [(name, bool(passed)) for name, passed in found]


def published(place: Workshop | Bench, number: int) -> Manifest:
    return read_package(place.models_dir / "iris" / str(number), "iris", number).manifest
