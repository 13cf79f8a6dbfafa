"""Settings and what the host leaves -> Plan: how many processes and threads, and why; loads no model.

A process of its own for each core, where memory allows: what a request costs is its handling more than its run, so
that one process is one core's worth. Threads of a session are for the cores that are left then.
"""

import attrs

from server.host.cgroup import Cores, read_cores, read_memory_bytes
from server.models.repository import count_model_bytes
from server.settings import Settings

SUPERVISOR_BYTES = 40 * 10**6
"""What the process takes that watches over several workers; measured as PSS, as those below."""
WORKER_BYTES = 75 * 10**6
"""What each worker takes beside its models."""
BYTES_BY_FILE_BYTE = 13
"""What a byte of a compiled model's file takes once it is loaded: measured with a forest of 8 MB; others take less."""
WORKERS_SHARE = 1 / 2
"""The part of the memory that chosen workers may take as they start; the rest is for what they take on."""
_MB = 10**6


@attrs.frozen
class Plan:
    """How the work is spread.

    Attributes:
        cores: What the processes may use, all together.
        memory_bytes: What they may take, all together.
        workers: How many processes serve.
        threads: How many threads a session has, in each of them.
        why_workers: Why so many.
        why_threads: Why so many.
    """

    cores: Cores
    memory_bytes: int
    workers: int
    threads: int
    why_workers: str
    why_threads: str


def read_plan(settings: Settings) -> Plan:
    """Spreads the work over what this host has."""
    return make_plan(settings, read_cores(), read_memory_bytes(), count_model_bytes(settings.models_dir))


def make_plan(settings: Settings, cores: Cores, memory_bytes: int, model_bytes: int) -> Plan:
    """Spreads the work over what there is.

    Args:
        settings: What was asked for.
        cores: What all processes may use.
        memory_bytes: What they may take.
        model_bytes: How large the files of the models are that each of them loads.
    """
    workers, why_workers = _choose_workers(cores, memory_bytes, model_bytes)
    if settings.workers:
        workers, why_workers = settings.workers, "asked for"
    threads = max(1, cores.usable // workers)
    why_threads = f"{_tell(cores)} -> {_count(threads, 'thread')} for each of {_count(workers, 'worker')}"
    return Plan(cores, memory_bytes, workers, threads, why_workers, why_threads)


def explain(settings: Settings, plan: Plan) -> dict[str, str]:
    """Gives the reason for each size, by the name under which the log and the doctor tell it."""
    return {
        "workers": plan.why_workers,
        "session_threads": plan.why_threads,
        "left_mb": "a worker's part of the memory, less what it takes with its models loaded",
        "max_queue_rows": "asked for" if settings.max_queue_rows else "an eighth of what is left, shared by the models",
        "max_batch_rows": "asked for" if settings.max_batch_rows else "what a run of each model costs",
        "bodies_mb": "a quarter of what is left, and one body of --max-body-bytes at least",
    }


def _choose_workers(cores: Cores, memory_bytes: int, model_bytes: int) -> tuple[int, str]:
    each_bytes = WORKER_BYTES + BYTES_BY_FILE_BYTE * model_bytes
    room = int(memory_bytes * WORKERS_SHARE - SUPERVISOR_BYTES) // each_bytes
    if room >= cores.usable:
        return cores.usable, f"{_tell(cores)} -> {_count(cores.usable, 'worker')}"
    workers = max(1, room)
    why = (
        f"half of {memory_bytes // _MB} MB memory at {each_bytes // _MB} MB each, {SUPERVISOR_BYTES // _MB} MB for all"
    )
    return workers, f"{why} -> {_count(workers, 'worker')}"


def _tell(cores: Cores) -> str:
    quota = "no quota" if cores.quota is None else f"quota {cores.quota:g} CPU"
    return f"{quota}, affinity {cores.affinity}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
