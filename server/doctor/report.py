"""What the doctor found, as plain values: the schema of `--json`, in which names end with their unit.

It knows nothing of how any of it is found, and fields are only ever added to a format.
"""

import attrs

FORMAT = 1


@attrs.frozen
class Host:
    """What there is, and what of it this process may use.

    Attributes:
        machine: The processor's architecture.
        cpu: The processor's name.
        cpu_features: Those of its instruction sets that make models quicker.
        cores: How many the host has.
        affinity: The cores that this process may run on, by number: the cpuset's, and no others.
        quota_cores: How many cores' worth of time the cgroup gives, where that is limited.
        memory_bytes: The cgroup's limit, or else all there is.
        memory_limited: Whether it is the cgroup's limit.
        onnxruntime: Its version.
        providers: What it can run models on; the server uses the CPU's.
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
    """What the server does with that.

    Attributes:
        workers: How many processes serve.
        session_threads: How many threads a session has, in each of them.
        left_bytes: What each process is left to grow by, once its models are loaded.
        bodies_bytes: How many bytes of bodies are read at the same time, in each process.
        why: The reason for each, as the log gives it.
    """

    workers: int
    session_threads: int
    left_bytes: int
    bodies_bytes: int
    why: dict[str, str]


@attrs.frozen
class Replay:
    """The golden rows of a version, answered on this host.

    Attributes:
        rows: How many there are.
        flips_alone: How many got another label than the estimator's, each row by itself.
        flips_together: The same, all rows in one batch.
        max_difference: The largest difference of one probability (0 to 1), either way.
        tolerance: The largest that is within the version's certificate.
    """

    rows: int
    flips_alone: int
    flips_together: int
    max_difference: float
    tolerance: float


@attrs.frozen
class Served:
    """A model that is served.

    Attributes:
        name: Its name.
        version: Its version's number.
        model_name: The name of its training.
        file_bytes: The size of its compiled model.
        loaded_bytes: By how much the process grew as it was loaded.
        replay: Its golden rows.
        batch_us: What a run costs, in microseconds, whatever its rows.
        row_us: More for each row.
        full_batch_row_us: What a row costs in the largest batch.
        max_batch_rows: The largest batch.
        max_queue_rows: The most rows that may wait.
        on_worker: Whether batches run on a thread of their own.
        why: The reason for that.
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
        reason: Why.
        replay: Its golden rows, where it is sound enough to be asked.
    """

    name: str
    version: int
    reason: str
    replay: Replay | None


@attrs.frozen
class Step:
    """What became of requests that came at one rate.

    Attributes:
        offered_per_s: How many were due a second.
        answered_per_s: How many were answered rightly a second.
        p50_ms: The median latency of these, from the moment when they were due; None where there are none.
        p99_ms: The 99th percentile of it.
        answered: How many they are.
        refused: How many were answered with an error.
        wrong: How many were answered, but not as the estimator did.
        lost: How many were due and never answered.
        server_cores: How many cores the server took, as a mean.
        client_cores: How many the client took.
        halted_s: For how long the cgroup was halted because its quota was used up.
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
    """What a server has taken after the load.

    Attributes:
        rss_bytes: Resident, over its processes; what they share counts for each.
        pss_bytes: The same with what is shared counted in parts, where the kernel tells.
        peak_rss_bytes: The most that was resident.
        cgroup_bytes: What the cgroup accounts for, this command and cached files included, where that can be read.
        cgroup_peak_bytes: The most of it.
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
        steps: Each rate, in their order.
        ended: Why there was no further one.
        memory: What the server has taken by then.
    """

    steps: tuple[Step, ...]
    ended: str
    memory: Memory


@attrs.frozen
class Report:
    """All that was found.

    Attributes:
        format: The number of this schema.
        host: What there is.
        sizing: What the server does with it.
        served: The models that are served.
        refused: The versions that are not.
        load: How a server did; None where nothing can be served, or it did not start.
        load_fault: Why there is no load, beyond that nothing can be served.
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
        within_per_s: The highest rate at which the p99 was within the budget, or else the deadline; None if none was.
        faults: What is not as it has to be, and by how much.
        advice: What to change, and the figure from which that follows.
    """

    fit: bool
    within_per_s: float | None
    faults: tuple[str, ...]
    advice: tuple[str, ...]
