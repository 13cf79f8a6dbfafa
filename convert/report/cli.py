"""The command `python -m convert.report`: a run's id -> its report in the run's own folder.

What a program wants (the report's path) goes to standard output, what a person wants to standard error.
"""

import argparse
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from convert.errors import ConvertError
from convert.places import add_models_dir
from convert.publishing.candidate import make_candidate
from convert.report.published import find_published
from convert.report.report import make_report
from server.disk import sync_folder, write_file
from server.errors import CorollaError
from server.models.repository import REPORT_FILE
from training.artifacts import load_artifacts
from training.places import add_data_dir
from training.runlog import Run, RunLog

REFUSED = 1


def main(arguments: Sequence[str]) -> int:
    """Writes a report.

    Returns:
        The exit code: 0, or 1 where there is nothing to report on; argparse exits with 2 for wrong arguments.
    """
    options = _make_parser().parse_args(arguments)
    try:
        return _report(options)
    except (CorollaError, OSError, sqlite3.Error) as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED


def _report(options: argparse.Namespace) -> int:
    log = RunLog(options.data_dir)
    runs = log.list()
    run = _newest(runs, options.data_dir) if options.run_id is None else log.find_finished(options.run_id)
    if result := find_published(options.models_dir, run):
        artifacts = load_artifacts(log.folder(run.id), run)
    else:
        print(f"run {run.id} is not published: it is compiled and proven for this report", file=sys.stderr)
        candidate = make_candidate(options.data_dir, run, allowed_mismatches=0)
        artifacts, result = candidate.artifacts, candidate.result
    print(_write(log.folder(run.id), make_report(run, artifacts, result, runs)))
    return 0


def _newest(runs: Sequence[Run], data_dir: Path) -> Run:
    finished = [run for run in runs if run.status == "finished"]
    if not finished:
        raise ConvertError(f"no finished run in {data_dir}")
    return finished[-1]


def _write(folder: Path, page: bytes) -> Path:
    """Puts a report in the place of the one that was there, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as staging:
        write_file(Path(staging) / REPORT_FILE, page)
        (Path(staging) / REPORT_FILE).replace(folder / REPORT_FILE)
    sync_folder(folder)
    return folder / REPORT_FILE


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert.report",
        description="Write a run's report, one HTML page that needs no network, and print its path.",
    )
    parser.add_argument(
        "run_id",
        metavar="RUN_ID",
        nargs="?",
        type=int,
        help="the run's id, as `python -m training runs` lists it (default: the newest finished run)",
    )
    add_data_dir(parser)
    add_models_dir(parser)
    return parser
