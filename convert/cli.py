"""The command `python -m convert`: compile a run, or several, prove parity, and publish one of them.

The published version's folder goes to standard output, for scripts. What is for people goes to standard error.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click
from tqdm import tqdm

from convert.errors import ConvertError
from convert.publishing.candidate import Candidate, make_candidate
from convert.publishing.gates import check_gates
from convert.publishing.limits import NAMES, SECTION, GateLimits, read_limits
from convert.publishing.publish import Publication, check_name, newest_number, publish
from convert.publishing.selection import compare_runs, select_fastest
from convert.publishing.tables import print_comparison, print_gates, print_proof
from convert.report.report import make_report
from server.contract.manifest import RunFacts
from training.command import NumberRange, data_dir_option, models_dir_option, run_command, with_options
from training.runlog import SCORES, Run, RunLog

NOT_PROVEN, GATE_FAILED = 3, 4
"""The exit codes where parity fails, and where a gate does."""


@attrs.frozen(kw_only=True)
class ConvertOptions:
    """A conversion, as a user asks for it.

    Attributes:
        name: The model's name; None to take the dataset's.
        allow_mismatch: How many rows may be answered differently.
        replace: Whether the version may take other features or labels than the served one.
        tolerance: A limit of `GateLimits`, as those below; None to take the project's.
        least_class_score: As above.
        largest_bytes: As above.
        largest_row_us: As above.
        data_dir: Folder of the run log and of the runs' files.
        models_dir: The model repository.
    """

    name: str | None
    allow_mismatch: int
    replace: bool
    tolerance: float | None
    least_class_score: float | None
    largest_bytes: float | None
    largest_row_us: float | None
    data_dir: Path
    models_dir: Path


def _limit_option(name: str, words: str) -> Any:
    default = getattr(GateLimits(), name)
    return click.option(
        f"--{name.replace('_', '-')}",
        metavar="X",
        type=NumberRange(min=0),
        show_default=f"{name} in {SECTION} of pyproject.toml, or {'none' if default is None else default}",
        help=words,
    )


convert_options = with_options(
    click.option(
        "--allow-mismatch",
        metavar="N",
        type=click.IntRange(min=0),
        default=0,
        help="Publish although up to N rows are answered differently. The manifest, the server's log and the model's "
        "page say so.",
    ),
    _limit_option("tolerance", "How much lower the score on held-out rows may be than the served version's."),
    _limit_option("least_class_score", "Refuse a lower recall of any class on held-out rows (0 to 1), or a lower R²."),
    _limit_option("largest_bytes", "Refuse a larger compiled model, in bytes."),
    _limit_option("largest_row_us", "Refuse a model that takes longer for one row, in microseconds."),
    click.option(
        "--replace",
        is_flag=True,
        help="Publish although the served version takes other features or answers with labels of another type. Scores "
        "are not compared then.",
    ),
    models_dir_option,
)
"""The options of convert, but for those that training has too."""


def main(arguments: Sequence[str]) -> int:
    """Convert a run.

    Returns:
        The exit code: 0, 1 if the run cannot be converted, 2 for wrong arguments, 3 if parity fails, 4 if a gate fails.
    """
    return run_command(_convert, arguments, "python -m convert")


@click.command()
@click.argument(
    "run_ids",
    metavar="RUN_ID...",
    type=int,
    nargs=-1,
    required=True,
    help="The run's id, as `python -m training runs` lists it. Of several runs of `--estimator auto`, the fastest "
    "compiled one is published whose score is within one standard error of the best.",
)
@click.option(
    "--name", metavar="NAME", show_default="the dataset's name", help="The model's name in the repository and in URLs."
)
@convert_options
@data_dir_option
def _convert(run_ids: Sequence[int], **options: Any) -> None:
    """Compile a run to ONNX, prove that it answers as its estimator does, and publish it as a version.

    Prints the version's folder. Exits with 3 if parity fails and with 4 if a gate fails: nothing is published then.
    """
    convert_runs(run_ids, ConvertOptions(**options))


def convert_runs(run_ids: Sequence[int], options: ConvertOptions) -> Path:
    """Convert a run, or the best of several, and print the published version's folder.

    Returns:
        That folder.

    Raises:
        ConvertError: If no run can be converted.
        click.exceptions.Exit: With `NOT_PROVEN` or `GATE_FAILED`, if nothing is published for that reason.
    """
    log = RunLog(options.data_dir)
    runs = [log.find_finished(run_id) for run_id in run_ids]
    name = check_name(options.name or runs[0].dataset)
    limits = read_limits(Path("pyproject.toml"), {limit: getattr(options, limit) for limit in NAMES})
    candidate = _take(options, runs)
    print_proof(candidate.result)
    newest = newest_number(options.models_dir, name)
    gates = check_gates(candidate, options.models_dir, name, limits, replace=options.replace)
    log.note_gates(candidate.run.id, [attrs.asdict(gate) for gate in gates])
    print_gates(gates)
    if not candidate.passed:
        raise click.exceptions.Exit(NOT_PROVEN)
    if not all(gate.passed for gate in gates):
        raise click.exceptions.Exit(GATE_FAILED)
    report = make_report(candidate.run, candidate.artifacts, candidate.result, log.list())
    folder = publish(options.models_dir, _publication(candidate, name, report), after=newest)
    print(folder)
    return folder


def _take(options: ConvertOptions, runs: Sequence[Run]) -> Candidate:
    """Return the candidate to publish: of the one run, or the fastest good one of several."""
    if len(runs) == 1:
        with tqdm(runs, desc=f"proving {runs[0].model}", unit="run", leave=False, disable=None):
            return make_candidate(options.data_dir, runs[0], options.allow_mismatch)
    compared = compare_runs(options.data_dir, runs, options.allow_mismatch)
    fastest = select_fastest(compared)
    print_comparison(compared, fastest)
    if fastest is None:
        raise ConvertError("of the runs within one standard error of the best, none is proven equal to its estimator")
    return fastest


def _publication(candidate: Candidate, name: str, report: bytes) -> Publication:
    result = candidate.result
    return Publication(
        name=name,
        model_name=candidate.run.model,
        compiled=result.compiled,
        certificate=result.proof.certificate,
        attempts=result.attempts,
        golden=result.proof.golden,
        run=_facts(candidate.run),
        report=report,
    )


def _facts(run: Run) -> RunFacts:
    train, test = run.score("train"), run.score("test")
    assert train is not None  # noqa: S101  a finished run has both
    assert test is not None  # noqa: S101
    return RunFacts(
        id=run.id,
        dataset=run.dataset,
        dataset_sha256=run.dataset_sha256,
        target=run.target,
        estimator=run.estimator,
        parameters=run.parameters,
        seed=run.seed,
        started_at=run.started_at,
        metric=SCORES[run.task],
        train_score=train,
        test_score=test,
    )
