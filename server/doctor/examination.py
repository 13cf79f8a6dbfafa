"""Settings -> Report: the one place where the doctor's parts are brought together."""

from collections.abc import Sequence

from server.doctor.budget import Budget
from server.doctor.checkup import Ward
from server.doctor.child import Child, serving
from server.doctor.errors import NotServingError
from server.doctor.hardware import read_host
from server.doctor.report import FORMAT, Load, Memory, Report, Served, Sizing
from server.doctor.rise import choose_first_rate, make_questions, rise
from server.host.cgroup import read_peak_bytes, read_resident_bytes, read_used_bytes
from server.host.memory import choose_body_bytes, left_bytes
from server.host.sizing import Plan, explain, read_plan
from server.models.catalog import Model
from server.settings import Settings


def examine(settings: Settings, flags: Sequence[str], budget: Budget) -> Report:
    """Looks at the host, at the models, and at a server that it starts.

    Args:
        settings: The server's.
        flags: The same, as they were given.
        budget: The load ends where its p99 is passed.
    """
    plan = read_plan(settings)
    ward = Ward(settings.models_dir, plan.threads, settings.trusted_keys)
    sizing = _size(settings, plan)
    served = ward.examine(settings.models_dir, settings, sizing.left_bytes)
    models = [model for model, _ in ward.models]
    load, fault = None, ward.fault
    if served:
        load, fault = _load(flags, plan, models, served, budget.p99_ms or settings.deadline_ms)
    return Report(FORMAT, read_host(plan.cores), sizing, served, ward.refused, load, fault)


def _size(settings: Settings, plan: Plan) -> Sizing:
    free_bytes = left_bytes(plan.memory_bytes, read_resident_bytes(), plan.workers)
    return Sizing(
        workers=plan.workers,
        session_threads=plan.threads,
        left_bytes=free_bytes,
        bodies_bytes=choose_body_bytes(free_bytes, settings.max_body_bytes),
        why=explain(settings, plan),
    )


def _load(
    flags: Sequence[str], plan: Plan, models: Sequence[Model], served: Sequence[Served], p99_ms: float
) -> tuple[Load | None, str]:
    row_s = sum(model.batch_us + model.row_us for model in served) / len(served) / 1e6
    try:
        with serving(flags, plan.workers) as child:
            steps, ended = rise(child, make_questions(models), choose_first_rate(row_s), p99_ms)
            return Load(steps, ended, _read_memory(child)), ""
    except NotServingError as error:
        return None, str(error)


def _read_memory(child: Child) -> Memory:
    tree = child.tree
    return Memory(tree.rss_bytes(), tree.pss_bytes(), tree.peak_rss_bytes(), read_used_bytes(), read_peak_bytes())
