"""The command `python -m convert.report`: write the report of a run into the run's own folder.

The report's path goes to standard output, for scripts. What is for people goes to standard error.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from convert.errors import ConvertError
from convert.publishing.candidate import make_candidate
from convert.report.published import find_newest_published, find_published
from convert.report.report import make_report
from server.disk import sync_folder, write_file
from server.models.repository import REPORT_FILE
from training.artifacts import load_artifacts
from training.command import data_dir_option, models_dir_option, run_command
from training.runlog import Run, RunLog


def main(arguments: Sequence[str]) -> int:
    """Write a report.

    Returns:
        The exit code: 0, 1 if there is nothing to report on, 2 for wrong arguments.
    """
    return run_command(_report, arguments, "python -m convert.report")


@click.command()
@click.argument(
    "run_id",
    metavar="[RUN_ID]",
    type=int,
    required=False,
    help="The run's id, as `python -m training runs` lists it. Default: the newest published run, or else the newest "
    "finished one.",
)
@data_dir_option
@models_dir_option
def _report(run_id: int | None, data_dir: Path, models_dir: Path) -> None:
    """Write a run's report, one HTML page that needs no network, and print its path.

    The proof is the published version's. A run that is not published is compiled and proven first.
    """
    log = RunLog(data_dir)
    runs = log.list()
    run = _newest(runs, data_dir, models_dir) if run_id is None else log.find_finished(run_id)
    if result := find_published(models_dir, run):
        artifacts = load_artifacts(log.folder(run.id), run)
    else:
        print(f"run {run.id} is not published: it is compiled and proven for this report", file=sys.stderr)
        candidate = make_candidate(data_dir, run, allowed_mismatches=0)
        artifacts, result = candidate.artifacts, candidate.result
    print(_write(log.folder(run.id), make_report(run, artifacts, result, runs)))


def _newest(runs: Sequence[Run], data_dir: Path, models_dir: Path) -> Run:
    """Return the newest published run: of a comparison, the winner. Without one, return the newest finished run."""
    finished = [run for run in runs if run.status == "finished"]
    if not finished:
        raise ConvertError(f"no finished run in {data_dir}")
    return find_newest_published(models_dir, finished) or finished[-1]


def _write(folder: Path, page: bytes) -> Path:
    """Replace the run's report, if it has one, by a rename: the file is whole at any time."""
    with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as staging:
        write_file(Path(staging) / REPORT_FILE, page)
        (Path(staging) / REPORT_FILE).replace(folder / REPORT_FILE)
    sync_folder(folder)
    return folder / REPORT_FILE
