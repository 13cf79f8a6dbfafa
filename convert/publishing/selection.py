"""Runs of a comparison -> a candidate of each, timed by turns, and of those that are good enough the fastest."""

from collections.abc import Sequence
from pathlib import Path

import attrs
from tqdm import tqdm

from convert.errors import ConvertError
from convert.publishing.candidate import Candidate, make_candidate, measure_row
from server.errors import CorollaError
from training.runlog import Run

TURNS = 5
"""How often each candidate is timed; what else the host does meets all of them."""


@attrs.frozen(eq=False)
class Contender:
    """One run of a comparison.

    Attributes:
        run: The run.
        candidate: What came of it; None where it could not be compiled or compared.
        is_close: Whether its mean score is within one standard error of the best.
        fault: Why it cannot be taken; None where it can.
    """

    run: Run
    candidate: Candidate | None
    is_close: bool
    fault: str | None


def contend(data_dir: Path, runs: Sequence[Run], allowed_mismatches: int) -> list[Contender]:
    """Makes candidates of runs that were compared by cross-validation.

    Args:
        data_dir: Where the log and the runs are.
        runs: Finished runs.
        allowed_mismatches: How many rows may differ.

    Raises:
        ConvertError: If they were not compared, or are of different tables or tasks.
    """
    folds = [run.metrics["folds"] for run in runs if run.metrics and run.metrics.get("folds")]
    is_of_one = len({(run.dataset_sha256, run.task, run.seed, run.test_share) for run in runs}) == 1
    if len(folds) < len(runs) or not is_of_one:
        raise ConvertError("several runs can be held against each other where --estimator auto has made them")
    best = max(folds, key=lambda one: one["mean"])
    least = best["mean"] - best["standard_error"]
    contenders = []
    with tqdm(zip(runs, folds, strict=True), total=len(runs), unit="run", leave=False, disable=None) as pairs:
        for run, one in pairs:
            pairs.set_description(f"proving {run.model}")
            contenders.append(_contend(data_dir, run, one["mean"] >= least, allowed_mismatches))
    return _time_by_turns(contenders)


def _time_by_turns(contenders: Sequence[Contender]) -> list[Contender]:
    """Gives each candidate the least of several times."""
    candidates = [contender.candidate for contender in contenders]
    times = [[one.row_us] if one else [] for one in candidates]
    for _ in range(TURNS):
        for one, known in zip(candidates, times, strict=True):
            if one:
                known.append(measure_row(one.climbed, one.left))
    return [
        attrs.evolve(contender, candidate=one and attrs.evolve(one, row_us=min(known)))
        for contender, one, known in zip(contenders, candidates, times, strict=True)
    ]


def _contend(data_dir: Path, run: Run, is_close: bool, allowed_mismatches: int) -> Contender:  # noqa: FBT001  one of its facts
    try:
        candidate = make_candidate(data_dir, run, allowed_mismatches)
    except (CorollaError, OSError) as error:
        return Contender(run, None, is_close, str(error))
    return Contender(run, candidate, is_close, None if candidate.passed else "not proven equal")


def find_fastest(contenders: Sequence[Contender]) -> Candidate | None:
    """Gives the fastest of those that are proven and within one standard error of the best, if there is one."""
    able = [one.candidate for one in contenders if one.is_close and not one.fault and one.candidate]
    return min(able, key=lambda candidate: candidate.row_us, default=None)
