"""Report and verdict -> lines of text, in the order in which a reader decides: host, sizes, models, load, verdict."""

from collections.abc import Iterator

from server.doctor.budget import Budget
from server.doctor.report import Host, Load, Memory, Refused, Replay, Report, Served, Sizing, Step, Verdict

LOAD_NOTE = "the client shares this host's cores with the server; latency counts from when a request was due"
COLUMNS = ("offered/s", "answered/s", "p50 ms", "p99 ms", "server cores", "client cores", "throttled s")


def write_lines(report: Report, verdict: Verdict, budget: Budget, deadline_ms: int) -> Iterator[str]:
    """Return the lines of the report.

    Args:
        report: What was found.
        verdict: What follows from it.
        budget: What the server has to keep to.
        deadline_ms: How long a request may take, in milliseconds.
    """
    yield from _host_lines(report.host)
    yield ""
    yield from _sizing_lines(report.sizing)
    for served in report.served:
        yield ""
        yield from _served_lines(served)
    for refused in report.refused:
        yield ""
        yield from _refused_lines(refused)
    if report.load is not None:
        yield ""
        yield from _load_lines(report.load, report.host)
    yield ""
    yield from _verdict_lines(verdict, budget, deadline_ms)


def _line(name: str, text: str) -> str:
    return f"{name:<13}{text}"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes // 10**6} MB"


def _host_lines(host: Host) -> Iterator[str]:
    quota = "no CPU quota" if host.quota_cores is None else f"CPU quota {host.quota_cores:g}"
    limit = "limit of the cgroup" if host.memory_limited else "all of the host's, no cgroup limit"
    features = " ".join(host.cpu_features) or "no instruction set that makes models quicker"
    yield _line("processor", f"{host.machine}, {host.cpu}; {features}")
    yield _line("cores", f"{host.cores}, affinity {','.join(map(str, host.affinity))}, {quota}")
    yield _line("memory", f"{_mb(host.memory_bytes)}, {limit}")
    yield _line("onnxruntime", f"{host.onnxruntime}; {', '.join(host.providers)}")


def _sizing_lines(sizing: Sizing) -> Iterator[str]:
    yield _line("workers", f"{sizing.workers}: {sizing.why['workers']}")
    yield _line("threads", f"{sizing.session_threads} a session: {sizing.why['session_threads']}")
    yield _line("memory left", f"{_mb(sizing.left_bytes)} a worker: {sizing.why['left_mb']}")
    yield _line("bodies", f"{_mb(sizing.bodies_bytes)} read at the same time: {sizing.why['bodies_mb']}")
    yield _line("queue rows", sizing.why["max_queue_rows"])
    yield _line("batch rows", sizing.why["max_batch_rows"])


def _served_lines(served: Served) -> Iterator[str]:
    sizes = f"file {served.file_bytes / 1e3:.1f} kB, memory {served.loaded_bytes / 1e6:+.1f} MB"
    yield _line("model", f"{served.name}/{served.version} ({served.model_name}): {sizes}")
    yield _line("", _replay_text(served.replay))
    cost = f"{served.batch_us:.1f} us a run and {served.row_us:.2f} us a row"
    yield _line("", f"cost {cost}; {served.full_batch_row_us:.2f} us a row in a batch of {served.max_batch_rows}")
    place = "in a worker thread" if served.on_worker else "on the event loop"
    yield _line("", f"batches of up to {served.max_batch_rows} rows, run {place} ({served.why})")
    yield _line("", f"queue of up to {served.max_queue_rows} rows")


def _refused_lines(refused: Refused) -> Iterator[str]:
    yield _line("refused", f"{refused.name}/{refused.version}: {refused.reason}")
    if refused.replay is not None:
        yield _line("", _replay_text(refused.replay))


def _replay_text(replay: Replay) -> str:
    return (
        f"{replay.rows} golden rows: {replay.flips_alone} labels flipped one by one, {replay.flips_together} in a "
        f"batch; outputs differ by up to {replay.max_difference:.1e} (certified: {replay.tolerance:.1e})"
    )


def _load_lines(load: Load, host: Host) -> Iterator[str]:
    yield _line("load", LOAD_NOTE)
    yield _line("", "".join(f"{column:>13}" for column in COLUMNS))
    yield from (_line("", _step_text(step)) for step in load.steps)
    yield _line("", f"stopped: {load.ended}")
    yield from _memory_lines(load.memory, host)


def _step_text(step: Step) -> str:
    latencies = (f"{'-' if ms is None else format(ms, '.2f'):>13}" for ms in (step.p50_ms, step.p99_ms))
    cpu = f"{step.server_cores:>13.2f}{step.client_cores:>13.2f}{step.halted_s:>13.2f}"
    return f"{step.offered_per_s:>13.0f}{step.answered_per_s:>13.0f}{''.join(latencies)}{cpu}"


def _memory_lines(memory: Memory, host: Host) -> Iterator[str]:
    pss = "" if memory.pss_bytes is None else f", PSS {_mb(memory.pss_bytes)}"
    peak = memory.peak_rss_bytes // 10**6
    yield _line("memory", f"RSS {_mb(memory.rss_bytes)} (peak {peak}){pss}")
    if host.memory_limited and memory.cgroup_peak_bytes is not None:
        of_limit = f"peak {memory.cgroup_peak_bytes // 10**6} of {_mb(host.memory_bytes)}"
        yield _line("", f"cgroup {of_limit}, with this command and the page cache")


def _verdict_lines(verdict: Verdict, budget: Budget, deadline_ms: int) -> Iterator[str]:
    if verdict.within_per_s is not None:
        bound = f"budget ({budget.p99_ms:g} ms)" if budget.p99_ms else f"deadline ({deadline_ms} ms)"
        yield _line("latency", f"p99 within {bound} up to {verdict.within_per_s:.0f} requests/s")
    yield from (_line("advice", advice) for advice in verdict.advice)
    yield from (_line("not fit", fault) for fault in verdict.faults)
    if verdict.fit:
        yield "fit"
