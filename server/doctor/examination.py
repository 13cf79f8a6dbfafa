"""Settings -> Report: calls each part of the doctor in turn and collects the findings."""

from collections.abc import Sequence

from server.doctor.budget import Budget
from server.doctor.checkup import LoadedModels
from server.doctor.child import Child, serving
from server.doctor.errors import NotServingError
from server.doctor.hardware import read_host
from server.doctor.ramp_up import choose_first_rate, make_probes, ramp_up
from server.doctor.report import FORMAT, Load, Memory, Report, Served, Sizing
from server.host.cgroup import read_peak_bytes, read_resident_bytes, read_used_bytes
from server.host.sizing import ResourcePlan, Sizes, make_sizes, read_plan
from server.models.catalog import Model
from server.settings import Settings


def examine(settings: Settings, flags: Sequence[str], budget: Budget) -> Report:
    """Examine the host, the models, and a server under load.

    Args:
        settings: The server's settings.
        flags: The same settings, as they were given on the command line.
        budget: The load ends when its p99 is exceeded.
    """
    plan = read_plan(settings)
    loaded = LoadedModels(settings.models_dir, plan.threads, settings.trusted_keys)
    sizes = make_sizes(settings, plan, read_resident_bytes(), len(loaded.models))
    served = loaded.examine(settings.models_dir, settings, sizes)
    models = [model for model, _ in loaded.models]
    load, fault = None, loaded.fault
    if served:
        load, fault = _load(flags, plan, models, served, budget.p99_ms or settings.deadline_ms)
    return Report(FORMAT, read_host(plan.cores), _describe(sizes), served, loaded.refused, load, fault)


def _describe(sizes: Sizes) -> Sizing:
    return Sizing(
        workers=sizes.plan.workers,
        session_threads=sizes.plan.threads,
        left_bytes=sizes.left_bytes,
        bodies_bytes=sizes.bodies_bytes,
        why=dict(sizes.why),
    )


def _load(
    flags: Sequence[str], plan: ResourcePlan, models: Sequence[Model], served: Sequence[Served], p99_ms: float
) -> tuple[Load | None, str]:
    row_s = sum(model.batch_us + model.row_us for model in served) / len(served) / 1e6
    try:
        with serving(flags, plan.workers) as child:
            steps, ended = ramp_up(child, make_probes(models), choose_first_rate(row_s), p99_ms)
            return Load(steps, ended, _read_memory(child)), ""
    except NotServingError as error:
        return None, str(error)


def _read_memory(child: Child) -> Memory:
    tree = child.tree
    return Memory(tree.rss_bytes(), tree.pss_bytes(), tree.peak_rss_bytes(), read_used_bytes(), read_peak_bytes())
