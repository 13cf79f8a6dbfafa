"""Model selection: of the runs of a comparison, the fastest whose score is within one standard error of the best."""

from collections.abc import Sequence
from pathlib import Path

import attrs
from tqdm import tqdm

from convert.errors import ConvertError
from convert.publishing.candidate import Candidate, make_candidate, measure_row
from server.errors import CorollaError
from training.runlog import Run

TURNS = 5
"""How often each candidate is timed again; in turn, so that other load on the host affects all of them alike."""


@attrs.frozen(eq=False)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        run: The run.
        candidate: Its candidate; None if it could not be compiled or compared.
        is_close: True if its mean score is within one standard error of the best.
        fault: Why it cannot be taken; None if it can.
    """

    run: Run
    candidate: Candidate | None
    is_close: bool
    fault: str | None


def compare_runs(data_dir: Path, runs: Sequence[Run], allowed_mismatches: int) -> list[ComparedRun]:
    """Make candidates of runs that were scored by cross-validation, and time them in turn.

    Args:
        data_dir: The folder of the run log and the runs.
        runs: Finished runs.
        allowed_mismatches: How many rows may differ.

    Raises:
        ConvertError: If they were not cross-validated, or are of different tables, tasks or splits.
    """
    folds = [run.metrics["folds"] for run in runs if run.metrics and run.metrics.get("folds")]
    is_of_one = len({(run.dataset_sha256, run.task, run.seed, run.test_share) for run in runs}) == 1
    if len(folds) < len(runs) or not is_of_one:
        raise ConvertError("several runs can be held against each other where --estimator auto has made them")
    best = max(folds, key=lambda one: one["mean"])
    least = best["mean"] - best["standard_error"]
    compared = []
    with tqdm(zip(runs, folds, strict=True), total=len(runs), unit="run", leave=False, disable=None) as pairs:
        for run, one in pairs:
            pairs.set_description(f"proving {run.model}")
            compared.append(_compare(data_dir, run, one["mean"] >= least, allowed_mismatches))
    return _time_in_turn(compared)


def _time_in_turn(compared: Sequence[ComparedRun]) -> list[ComparedRun]:
    """Give each candidate the smallest of several times."""
    candidates = [one.candidate for one in compared]
    times_us = [[one.row_us] if one else [] for one in candidates]
    for _ in range(TURNS):
        for one, measured in zip(candidates, times_us, strict=True):
            if one:
                measured.append(measure_row(one.result.session, one.artifacts))
    return [
        attrs.evolve(run, candidate=one and attrs.evolve(one, row_us=min(measured)))
        for run, one, measured in zip(compared, candidates, times_us, strict=True)
    ]


def _compare(data_dir: Path, run: Run, is_close: bool, allowed_mismatches: int) -> ComparedRun:  # noqa: FBT001  one of its facts
    try:
        candidate = make_candidate(data_dir, run, allowed_mismatches)
    except (CorollaError, OSError) as error:
        return ComparedRun(run, None, is_close, str(error))
    return ComparedRun(run, candidate, is_close, None if candidate.passed else "not proven equal")


def select_fastest(compared: Sequence[ComparedRun]) -> Candidate | None:
    """Return the fastest candidate that is proven and within one standard error of the best; None if there is none."""
    eligible = [one.candidate for one in compared if one.is_close and not one.fault and one.candidate]
    return min(eligible, key=lambda candidate: candidate.row_us, default=None)
