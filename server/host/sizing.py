"""Settings and the host's limits -> every size of a server, each with its reason.

`ResourcePlan` is made once a server, before any model is loaded. `Sizes` is made once a process, after its models are
loaded. Both are handed on to the application, its log and the doctor, and nobody chooses or explains a size again.

There is one process for each core, where memory allows: handling a request costs more than running the model, so one
process is one core's worth of work. Threads of a session are for the cores that are left then.
"""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

import attrs

from server.contract.signature import Signature
from server.host.cgroup import Cores, read_cores, read_memory_bytes
from server.host.memory import (
    LEAST_QUEUE_ROWS,
    MAX_QUEUE_ROWS,
    QUEUE_SHARE,
    choose_body_bytes,
    choose_queue_rows,
    left_bytes,
)
from server.models.repository import count_model_bytes
from server.settings import Settings

SUPERVISOR_BYTES = 40 * 10**6
"""PSS of the process that supervises several workers."""
WORKER_BYTES = 75 * 10**6
"""PSS of each worker, beside its models."""
BYTES_BY_FILE_BYTE = 13
"""Memory of a loaded model for each byte of its file: measured with a forest of 8 MB; others take less."""
WORKERS_SHARE = Fraction(1, 2)
"""The share of the memory that workers may take at start, if their number is not given; the rest is for requests."""
ASKED_FOR = "asked for"
_MB = 10**6


@attrs.frozen
class ResourcePlan:
    """How a server's work is spread over processes and threads.

    Attributes:
        cores: The cores that all processes may use together.
        memory_bytes: The memory that they may use together.
        workers: How many processes serve.
        threads: How many threads a session has, in each process.
        why_workers: The reason for that many workers.
        why_threads: The reason for that many threads.
    """

    cores: Cores
    memory_bytes: int
    workers: int
    threads: int
    why_workers: str
    why_threads: str


@attrs.frozen
class Sizes:
    """How much one process takes on at once, its models loaded.

    Attributes:
        plan: How the server's work is spread.
        resident_bytes: The memory that the process has, with its models loaded.
        left_bytes: The memory that it may still grow by.
        bodies_bytes: How many bytes of request bodies it reads at the same time.
        model_bytes: The part of `left_bytes` that is for one model.
        asked_queue_rows: How many rows may wait for each model, if that is given; 0 chooses by memory.
        why: The reason for each size, by its name in the log and in the doctor's JSON.
    """

    plan: ResourcePlan
    resident_bytes: int
    left_bytes: int
    bodies_bytes: int
    model_bytes: int
    asked_queue_rows: int
    why: Mapping[str, str]

    def queue_rows(self, signature: Signature) -> int:
        """Return how many rows may wait for a model of that signature."""
        types = Counter("category" if feature.type == "category" else "number" for feature in signature.features)
        return self.asked_queue_rows or choose_queue_rows(self.model_bytes, types["number"], types["category"])


def read_plan(settings: Settings) -> ResourcePlan:
    """Plan for the cores and the memory of this host."""
    return make_plan(settings, read_cores(), read_memory_bytes(), count_model_bytes(settings.models_dir))


def make_plan(settings: Settings, cores: Cores, memory_bytes: int, model_bytes: int) -> ResourcePlan:
    """Spread the work over cores and memory.

    Args:
        settings: The server's settings.
        cores: The cores that all processes may use together.
        memory_bytes: The memory that they may use together.
        model_bytes: The size of all models' files, which each process loads.
    """
    workers, why_workers = _choose_workers(cores, memory_bytes, model_bytes)
    if settings.workers:
        workers, why_workers = settings.workers, ASKED_FOR
    threads = max(1, cores.usable // workers)
    why_threads = f"{_describe(cores)} -> {_count(threads, 'thread')} for each of {_count(workers, 'worker')}"
    return ResourcePlan(cores, memory_bytes, workers, threads, why_workers, why_threads)


def make_sizes(settings: Settings, plan: ResourcePlan, resident_bytes: int, models: int) -> Sizes:
    """Choose the sizes of one process.

    Args:
        settings: The server's settings.
        plan: How the server's work is spread.
        resident_bytes: The memory that this process has, with its models loaded.
        models: How many models it serves.
    """
    free_bytes = left_bytes(plan.memory_bytes, resident_bytes, plan.workers)
    bodies_bytes, why_bodies = choose_body_bytes(free_bytes, settings.max_body_bytes)
    return Sizes(
        plan=plan,
        resident_bytes=resident_bytes,
        left_bytes=free_bytes,
        bodies_bytes=bodies_bytes,
        model_bytes=free_bytes // max(1, models),
        asked_queue_rows=settings.max_queue_rows,
        why={
            "workers": plan.why_workers,
            "session_threads": plan.why_threads,
            "left_mb": f"{plan.memory_bytes // _MB} MB memory for {_count(plan.workers, 'worker')}, "
            f"less {resident_bytes // _MB} MB resident with models loaded",
            "max_queue_rows": _explain_queue_rows(settings, models),
            "max_batch_rows": _explain_batch_rows(settings),
            "bodies_mb": why_bodies,
        },
    )


def _explain_queue_rows(settings: Settings, models: int) -> str:
    if settings.max_queue_rows:
        return ASKED_FOR
    each = f"for each of {_count(models, 'model')}" if models > 1 else "for the model"
    return f"{QUEUE_SHARE} of the memory left, {LEAST_QUEUE_ROWS} to {MAX_QUEUE_ROWS} rows {each}, by a row's size"


def _explain_batch_rows(settings: Settings) -> str:
    if settings.max_batch_rows:
        return ASKED_FOR
    if settings.coalescing == "off":
        return "1, for --coalescing is off"
    return "each model's measured cost, at most its certified batch; 1 if its answers change with the batch"


def _choose_workers(cores: Cores, memory_bytes: int, model_bytes: int) -> tuple[int, str]:
    each_bytes = WORKER_BYTES + BYTES_BY_FILE_BYTE * model_bytes
    room = int(memory_bytes * WORKERS_SHARE - SUPERVISOR_BYTES) // each_bytes
    if room >= cores.usable:
        return cores.usable, f"{_describe(cores)} -> {_count(cores.usable, 'worker')}"
    workers = max(1, room)
    share = f"{WORKERS_SHARE} of {memory_bytes // _MB} MB memory"
    parts = f"{SUPERVISOR_BYTES // _MB} MB for their supervisor, {each_bytes // _MB} MB for each worker"
    return workers, f"{share}: {parts} -> {_count(workers, 'worker')}"


def _describe(cores: Cores) -> str:
    quota = "no quota" if cores.quota is None else f"quota {cores.quota:g} CPU"
    return f"{quota}, affinity {cores.affinity}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
