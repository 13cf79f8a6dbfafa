"""Report and budget -> advice: what to change, each with the figure from which it follows."""

from collections.abc import Iterator

from server.doctor.budget import Budget
from server.doctor.report import Load, Memory, Report, Served, Step

NEAR_LIMIT = 0.8
"""Peak memory above this share of the limit is too near to it."""
THROTTLED_S = 0.01
"""CPU throttling above this, in seconds a step, is attributed to the cgroup's quota."""
IDLE_SHARE = 0.5
"""Below this utilisation of the cores, server and client are not CPU-bound."""
SATURATED_SHARE = 0.85
"""Above this utilisation, cores count as saturated."""


def give_advice(report: Report, budget: Budget, deadline_ms: int) -> Iterator[str]:
    """Return what to change; nothing if no figure asks for a change.

    Args:
        report: What was found.
        budget: What the server has to keep to.
        deadline_ms: How long a request may take, in milliseconds.
    """
    yield from _on_versions(report)
    if report.load is not None:
        yield from _on_memory(report, report.load.memory)
        yield from _on_latency(report, report.load.steps[0], budget, deadline_ms)
        yield from _on_cores(report, report.load)


def _on_versions(report: Report) -> Iterator[str]:
    for refused in report.refused:
        yield f"{refused.name}/{refused.version} is refused: publish it again, or remove it"
    for served in report.served:
        if served.replay.max_difference > served.replay.tolerance:
            yield (
                f"{served.name}/{served.version}: outputs differ by up to {served.replay.max_difference:.1e} on this "
                f"host, {served.replay.tolerance:.1e} is certified: compile and certify it on a host like this one"
            )


def _on_memory(report: Report, memory: Memory) -> Iterator[str]:
    if report.host.memory_limited and memory.peak_rss_bytes > NEAR_LIMIT * report.host.memory_bytes:
        enough_mb = memory.peak_rss_bytes / NEAR_LIMIT / 1e6
        used = f"peak RSS {memory.peak_rss_bytes / 1e6:.0f} MB of a limit of {report.host.memory_bytes / 1e6:.0f} MB"
        yield f"{used}: raise the memory limit to {enough_mb:.0f} MB, or serve fewer models or workers"


def _on_latency(report: Report, first: Step, budget: Budget, deadline_ms: int) -> Iterator[str]:
    if first.p99_ms is None or first.p99_ms > deadline_ms:
        yield f"even {first.offered_per_s:g} requests/s are not answered within --deadline-ms {deadline_ms}: raise it"
    slowest = max(report.served, key=_one_row_ms)
    if budget.p99_ms is not None and _one_row_ms(slowest) > budget.p99_ms / 2:
        yield (
            f"one row costs {slowest.name} {_one_row_ms(slowest):.2f} ms of the p99 budget of {budget.p99_ms:g} ms: "
            "publish a smaller model (fewer or shallower trees, a narrower network)"
        )
    if first.p99_ms is not None and first.p99_ms > (budget.p99_ms or deadline_ms):
        yield from _on_cause(report, first, first.p99_ms)


def _on_cause(report: Report, first: Step, p99_ms: float) -> Iterator[str]:
    """Return why even the lowest rate is late: the CPU quota, or other processes that use the cores."""
    rate, used = first.offered_per_s, first.server_cores + first.client_cores
    if first.halted_s > THROTTLED_S:
        quota = report.host.quota_cores or 0.0
        yield f"at {rate:g} requests/s the CPU quota of {quota:g} throttled it for {first.halted_s:.2f} s: raise it"
    elif used < IDLE_SHARE * _usable_cores(report):
        yield (
            f"at {rate:g} requests/s p99 is {p99_ms:.2f} ms, though server and client used only {used:.2f} of "
            f"{_usable_cores(report):g} cores: other processes on this host use the CPU; stop them, or keep a core free"
        )


def _on_cores(report: Report, load: Load) -> Iterator[str]:
    usable = _usable_cores(report)
    last, workers = load.steps[-1], report.sizing.workers
    if last.server_cores + last.client_cores > SATURATED_SHARE * usable:
        yield (
            f"at {last.offered_per_s:g} requests/s the server used {last.server_cores:.2f} and the client "
            f"{last.client_cores:.2f} of {usable:g} cores: send the load from another host to measure more"
        )
    if last.server_cores > SATURATED_SHARE * workers and workers + 1 <= usable:
        yield (
            f"{workers} worker{'s' * (workers > 1)} used {last.server_cores:.2f} of {usable:g} cores: set --workers "
            f"{int(usable)}, at {load.memory.rss_bytes / workers / 1e6:.0f} MB each"
        )


def _usable_cores(report: Report) -> float:
    affinity, quota = len(report.host.affinity), report.host.quota_cores
    return affinity if quota is None else min(quota, affinity)


def _one_row_ms(served: Served) -> float:
    return (served.batch_us + served.row_us) / 1e3
