"""Settings and what the host leaves -> Plan: how many processes and threads, and why; knows nothing of models."""

import attrs

from server.host import Cores
from server.settings import Settings


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


def make_plan(settings: Settings, cores: Cores, memory_bytes: int) -> Plan:
    """Spreads the work over what there is."""
    workers = settings.workers
    threads = max(1, cores.usable // workers)
    quota = "no quota" if cores.quota is None else f"a quota of {cores.quota:g}"
    why_threads = f"{quota} and {cores.affinity} in the affinity are {cores.usable} whole cores, for {workers} workers"
    return Plan(cores, memory_bytes, workers, threads, "asked for", why_threads)
