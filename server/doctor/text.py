"""Report and verdict -> lines for people."""

from collections.abc import Iterator

from server.doctor.report import Host, Load, Refused, Replay, Report, Served, Sizing, Step, Verdict

CLIENT_NOTE = "the client runs on this host too, and takes its part of the cores; server and client are as cores taken"


def write_lines(report: Report, verdict: Verdict) -> Iterator[str]:
    """Gives the lines of the report."""
    yield from _host_lines(report.host)
    yield from _sizing_lines(report.sizing)
    for served in report.served:
        yield from _served_lines(served)
    for refused in report.refused:
        yield from _refused_lines(refused)
    if report.load is not None:
        yield from _load_lines(report.load, report.host)
    if verdict.within_per_s is not None:
        yield _line("in time", f"up to {verdict.within_per_s:.0f} requests/s, by the p99")
    yield from (_line("advice", advice) for advice in verdict.advice)
    yield from (_line("not fit", fault) for fault in verdict.faults)
    if verdict.fit:
        yield "fit"


def _line(name: str, text: str) -> str:
    return f"{name:<12}{text}"


def _host_lines(host: Host) -> Iterator[str]:
    quota = "no quota" if host.quota_cores is None else f"a quota of {host.quota_cores:g}"
    limit = "the cgroup's limit" if host.memory_limited else "no limit of a cgroup"
    yield _line("processor", f"{host.machine}, {host.cpu}; {' '.join(host.cpu_features) or 'no features that matter'}")
    yield _line("cores", f"{host.cores}, affinity {','.join(map(str, host.affinity))}, {quota}")
    yield _line("memory", f"{host.memory_bytes / 1e6:.0f} MB, {limit}")
    yield _line("onnxruntime", f"{host.onnxruntime}; {', '.join(host.providers)}")


def _sizing_lines(sizing: Sizing) -> Iterator[str]:
    yield _line("workers", f"{sizing.workers}: {sizing.why['workers']}")
    yield _line("threads", f"{sizing.session_threads}: {sizing.why['session_threads']}")
    yield _line("left", f"{sizing.left_bytes / 1e6:.0f} MB: {sizing.why['left_mb']}")
    yield _line("rows", f"that may wait: {sizing.why['max_queue_rows']}; in a batch: {sizing.why['max_batch_rows']}")
    yield _line("bodies", f"{sizing.bodies_bytes / 1e6:.0f} MB: {sizing.why['bodies_mb']}")


def _served_lines(served: Served) -> Iterator[str]:
    sizes = f"{served.file_bytes / 1e3:.1f} kB, memory {served.loaded_bytes / 1e6:+.1f} MB"
    yield _line("model", f"{served.name}/{served.version} ({served.model_name}), {sizes}")
    yield _line("", _replay_text(served.replay))
    yield _line(
        "",
        f"a run takes {served.batch_us:.1f} us and {served.row_us:.2f} us a row; "
        f"in a batch of {served.max_batch_rows} a row takes {served.full_batch_row_us:.2f} us",
    )
    place = "on a thread of their own" if served.on_worker else "on the event loop"
    bounds = f"batches of {served.max_batch_rows} rows, {place} ({served.why}); {served.max_queue_rows} rows may wait"
    yield _line("", bounds)


def _refused_lines(refused: Refused) -> Iterator[str]:
    yield _line("refused", f"{refused.name}/{refused.version}: {refused.reason}")
    if refused.replay is not None:
        yield _line("", _replay_text(refused.replay))


def _replay_text(replay: Replay) -> str:
    return (
        f"{replay.rows} golden rows: {replay.flips_alone} labels flipped alone, {replay.flips_together} together; "
        f"probabilities off by {replay.max_difference:.1e} at most"
    )


def _load_lines(load: Load, host: Host) -> Iterator[str]:
    yield _line("load", CLIENT_NOTE)
    columns = ("offered/s", "right/s", "p50 ms", "p99 ms", "server", "client")
    yield _line("", "".join(f"{column:>10}" for column in columns))
    yield from (_line("", _step_text(step)) for step in load.steps)
    yield _line("", f"ended: {load.ended}")
    memory = load.memory
    pss = "" if memory.pss_bytes is None else f", {memory.pss_bytes / 1e6:.0f} MB with what is shared in parts"
    yield _line("taken", f"{memory.rss_bytes / 1e6:.0f} MB resident, at most {memory.peak_rss_bytes / 1e6:.0f} MB{pss}")
    if host.memory_limited and memory.cgroup_peak_bytes is not None:
        yield _line(
            "",
            f"the cgroup at most {memory.cgroup_peak_bytes / 1e6:.0f} of {host.memory_bytes / 1e6:.0f} MB, "
            "this command and cached files among it",
        )


def _step_text(step: Step) -> str:
    latencies = (f"{'-' if ms is None else format(ms, '.2f'):>10}" for ms in (step.p50_ms, step.p99_ms))
    cores = f"{step.server_cores:>10.2f}{step.client_cores:>10.2f}"
    return f"{step.offered_per_s:>10.0f}{step.answered_per_s:>10.0f}{''.join(latencies)}{cores}"
