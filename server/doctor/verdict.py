"""Report and budget -> Verdict: whether the host is fit, every fault if it is not, and advice."""

from collections.abc import Iterator

from server.doctor.advice import give_advice
from server.doctor.budget import Budget
from server.doctor.report import Load, Refused, Replay, Report, Served, Verdict


def judge(report: Report, budget: Budget, deadline_ms: int) -> Verdict:
    """Decide whether the host and its models are fit, and what to change.

    Args:
        report: What was found.
        budget: What the server has to keep to.
        deadline_ms: How long a request may take, in milliseconds.
    """
    faults = [*_find_flips(report), *_find_nothing_served(report)]
    within_per_s = None
    if report.load is not None:
        within_per_s = _find_within(report.load, budget.p99_ms or deadline_ms)
        faults += _compare(report.load, budget, within_per_s)
    return Verdict(
        fit=not faults,
        within_per_s=within_per_s,
        faults=tuple(faults),
        advice=tuple(give_advice(report, budget, deadline_ms)),
    )


def _find_within(load: Load, p99_ms: float) -> float | None:
    rates = (step.answered_per_s for step in load.steps if step.p99_ms is not None and step.p99_ms <= p99_ms)
    return max(rates, default=None)


def _find_nothing_served(report: Report) -> Iterator[str]:
    if not report.served:
        found = f"all {len(report.refused)} versions were refused" if report.refused else "no version was found"
        yield f"nothing can be served: {found}"
    if report.load_fault:
        yield report.load_fault


def _find_flips(report: Report) -> Iterator[str]:
    versions: tuple[Served | Refused, ...] = (*report.served, *report.refused)
    for version in versions:
        replay = version.replay
        if replay is not None and _has_flips(replay):
            yield (
                f"{version.name}/{version.version}: of {replay.rows} golden rows {replay.flips_alone} get another "
                f"label one by one, {replay.flips_together} in a batch; outputs differ by up to "
                f"{replay.max_difference:.1e}, {replay.tolerance:.1e} is certified"
            )


def _has_flips(replay: Replay) -> bool:
    # Probabilities that change with the batch are no fault: such a model is run row by row.
    return bool(replay.flips_alone or replay.flips_together)


def _compare(load: Load, budget: Budget, within_per_s: float | None) -> Iterator[str]:
    wrong = sum(step.wrong for step in load.steps)
    if wrong:
        yield f"{wrong} answers under load differ from the estimator's"
    latencies_ms = [step.p99_ms for step in load.steps if step.p99_ms is not None]
    if not latencies_ms:
        yield f"no right answer under load: {load.ended}"
    elif budget.p99_ms is not None and within_per_s is None:
        over = f"{min(latencies_ms) - budget.p99_ms:.2f} ms over the budget of {budget.p99_ms:g} ms"
        yield f"p99 {min(latencies_ms):.2f} ms at best, {over}"
    peak_mb = load.memory.peak_rss_bytes / 1e6
    if budget.rss_mb is not None and peak_mb > budget.rss_mb:
        over = f"{peak_mb - budget.rss_mb:.0f} MB over the budget of {budget.rss_mb:g} MB"
        yield f"peak RSS {peak_mb:.0f} MB, {over}"
