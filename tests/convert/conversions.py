"""Runs that are compiled in the test's own process: a child takes seconds to begin, and has tests of its own."""

from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from convert.cli import main
from convert.export import Compiled, Precision, export
from tests.conftest import Workshop
from tests.convert.conftest import Bench
from training.artifacts import load_artifacts
from training.runlog import RunLog

FEW_ROWS = 200
PAGE = b"<!doctype html>"


class CompilerHere:
    """Compiles as the child of `convert.compiler.Compiler` does."""

    def __init__(self, data_dir: Path, run_id: int) -> None:
        log = RunLog(data_dir)
        self._left = load_artifacts(log.folder(run_id), log.find(run_id))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Has nothing to end."""

    def compile(self, precision: Precision) -> Compiled:
        return export(self._left.estimator, self._left.dataset, precision)


def compile_here(monkeypatch: pytest.MonkeyPatch, compiler: type[CompilerHere] = CompilerHere) -> None:
    """Lets conversions of a test compile without a child, ask fewer generated rows and draw no page."""
    monkeypatch.setattr("convert.candidate.Compiler", compiler)
    monkeypatch.setattr("convert.questions.GENERATED_ROWS", FEW_ROWS)
    monkeypatch.setattr("convert.cli.make_report", lambda *_: PAGE)


def convert(place: Workshop | Bench, *options: str) -> int:
    """Runs the command on the first run of a place, unless the options name others."""
    run_ids = [] if options and options[0].isdigit() else ["1"]
    return main(["--data-dir", str(place.data_dir), "--models-dir", str(place.models_dir), *run_ids, *options])
