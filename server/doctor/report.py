"""The doctor's findings as plain values: the schema of `--json`, in which names end with their unit.

Fields are only ever added to a format; `FORMAT` changes when one is removed.
"""

import attrs

FORMAT = 1


@attrs.frozen
class Host:
    """The host, and the part of it that this process may use.

    Attributes:
        machine: The processor's architecture.
        cpu: The processor's name.
        cpu_features: The processor's instruction sets that make models quicker.
        cores: How many cores the host has.
        affinity: The numbers of the cores that this process may run on (its cpuset).
        quota_cores: The cgroup's CPU quota in cores; None without one.
        memory_bytes: The cgroup's memory limit, or else all memory of the host.
        memory_limited: Whether `memory_bytes` is a limit of the cgroup.
        onnxruntime: The version of onnxruntime.
        providers: onnxruntime's execution providers; the server uses the CPU's.
    """

    machine: str
    cpu: str
    cpu_features: tuple[str, ...]
    cores: int
    affinity: tuple[int, ...]
    quota_cores: float | None
    memory_bytes: int
    memory_limited: bool
    onnxruntime: str
    providers: tuple[str, ...]


@attrs.frozen
class Sizing:
    """The sizes that the server chooses on this host.

    Attributes:
        workers: How many processes serve.
        session_threads: How many threads a session has, in each process.
        left_bytes: The memory that each process may still grow by, once its models are loaded.
        bodies_bytes: How many bytes of request bodies each process reads at the same time.
        why: The reason for each size, as in the log.
    """

    workers: int
    session_threads: int
    left_bytes: int
    bodies_bytes: int
    why: dict[str, str]


@attrs.frozen
class Replay:
    """The golden rows of a version, replayed on this host.

    Attributes:
        rows: How many golden rows there are.
        flips_alone: How many rows get another label than the estimator's if each is a batch of its own.
        flips_together: How many do if all rows are one batch.
        max_difference: The largest difference of one output, of both replays: of a probability (0 to 1), or of a
            regressor's number relative to its scale.
        tolerance: The largest difference that the version's certificate allows.
    """

    rows: int
    flips_alone: int
    flips_together: int
    max_difference: float
    tolerance: float


@attrs.frozen
class Served:
    """A version that is served.

    Attributes:
        name: The model's name.
        version: The version's number.
        model_name: The name that its answers give as ``model_name``.
        file_bytes: The size of the compiled model's file.
        loaded_bytes: By how much the process's RSS grew as the version was loaded.
        replay: The replay of its golden rows.
        batch_us: The fixed cost of a run, in microseconds.
        row_us: The further cost of each row of a run.
        full_batch_row_us: The cost of a row in the largest batch.
        max_batch_rows: The largest batch.
        max_queue_rows: The most rows that may wait.
        on_worker: Whether batches run in a worker thread, and not on the event loop.
        why: The reason for `on_worker` and for the kind of coalescing.
    """

    name: str
    version: int
    model_name: str
    file_bytes: int
    loaded_bytes: int
    replay: Replay
    batch_us: float
    row_us: float
    full_batch_row_us: float
    max_batch_rows: int
    max_queue_rows: int
    on_worker: bool
    why: str


@attrs.frozen
class Refused:
    """A version that is not served.

    Attributes:
        name: The model's name.
        version: The version's number.
        reason: Why it is refused.
        replay: The replay of its golden rows; None if it cannot be loaded.
    """

    name: str
    version: int
    reason: str
    replay: Replay | None


@attrs.frozen
class Step:
    """What became of requests that were offered at one rate.

    Attributes:
        offered_per_s: The offered rate: requests due a second.
        answered_per_s: Right answers a second.
        p50_ms: The median latency of right answers, from the moment when they were due; None without any.
        p99_ms: The 99th percentile of that latency.
        answered: How many right answers there were.
        refused: How many requests got an error.
        wrong: How many got 200 with another answer than the estimator's.
        lost: How many were due and never answered.
        server_cores: The cores that the server used, as a mean.
        client_cores: The cores that the client used, as a mean.
        halted_s: For how long the cgroup was throttled because its CPU quota was used up, summed over cores.
    """

    offered_per_s: float
    answered_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    answered: int
    refused: int
    wrong: int
    lost: int
    server_cores: float
    client_cores: float
    halted_s: float


@attrs.frozen
class Memory:
    """The server's memory after the load.

    Attributes:
        rss_bytes: RSS, summed over its processes; shared pages count for each.
        pss_bytes: PSS, in which shared pages are divided; None if the kernel has no such figure.
        peak_rss_bytes: The peaks of RSS, summed over its processes.
        cgroup_bytes: The cgroup's memory, this command and the page cache included; None if it cannot be read.
        cgroup_peak_bytes: The peak of the cgroup's memory.
    """

    rss_bytes: int
    pss_bytes: int | None
    peak_rss_bytes: int
    cgroup_bytes: int | None
    cgroup_peak_bytes: int | None


@attrs.frozen
class Load:
    """A server under rising load.

    Attributes:
        steps: The offered rates, in their order.
        ended: Why there was no higher rate.
        memory: The server's memory after the last step.
    """

    steps: tuple[Step, ...]
    ended: str
    memory: Memory


@attrs.frozen
class Report:
    """All findings.

    Attributes:
        format: The number of this schema.
        host: The host and its limits.
        sizing: The sizes that the server chooses.
        served: The versions that are served.
        refused: The versions that are refused.
        load: The server under load; None if nothing can be served, or it did not start.
        load_fault: Why there is no load, unless nothing can be served; empty without a fault.
    """

    format: int
    host: Host
    sizing: Sizing
    served: tuple[Served, ...]
    refused: tuple[Refused, ...]
    load: Load | None
    load_fault: str


@attrs.frozen
class Verdict:
    """What follows from a report.

    Attributes:
        fit: Whether there is no fault.
        within_per_s: The highest throughput with p99 within the budget, or else the deadline; None if none was.
        faults: What makes the host unfit, and by how much.
        advice: What to change, and the figure from which that follows.
    """

    fit: bool
    within_per_s: float | None
    faults: tuple[str, ...]
    advice: tuple[str, ...]
