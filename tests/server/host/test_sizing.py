"""Every size follows from cores and memory, unless it is asked for, and has its reason."""

from pathlib import Path

import pytest

from server.host.cgroup import Cores, read_cores, read_memory_bytes
from server.host.sizing import Sizes, make_plan, make_sizes, read_plan
from server.models.repository import MODEL_FILE, count_model_bytes
from server.settings import Settings
from tests.support.workshop import Workshop

MB = 10**6


@pytest.mark.parametrize(
    ("cores", "memory_mb", "model_mb", "workers", "threads"),
    [
        (Cores(2, 0.5), 256, 0, 1, 1),
        (Cores(2, 1.0), 256, 0, 1, 1),
        (Cores(2, None), 256, 0, 1, 2),
        (Cores(2, None), 512, 0, 2, 1),
        (Cores(4, 2.5), 512, 0, 2, 1),
        (Cores(4, None), 512, 0, 2, 2),
        (Cores(4, None), 4096, 0, 4, 1),
        (Cores(4, None), 4096, 100, 1, 4),
        (Cores(4, None), 0, 0, 1, 4),
    ],
)
def test_there_is_a_worker_for_each_core_where_memory_allows_and_threads_for_the_rest(
    cores: Cores, memory_mb: int, model_mb: int, workers: int, threads: int
) -> None:
    plan = make_plan(Settings(), cores, memory_mb * MB, model_mb * MB)
    assert (plan.workers, plan.threads) == (workers, threads)


def test_workers_are_as_many_as_asked_for() -> None:
    plan = make_plan(Settings(workers=3), Cores(2, None), 256 * MB, 0)
    assert (plan.workers, plan.threads, plan.why_workers) == (3, 1, "asked for")


def test_each_number_has_its_reason() -> None:
    plan = make_plan(Settings(), Cores(2, 0.5), 256 * MB, 0)
    assert plan.why_workers == "quota 0.5 CPU, affinity 2 -> 1 worker"
    assert plan.why_threads == "quota 0.5 CPU, affinity 2 -> 1 thread for each of 1 worker"
    plan = make_plan(Settings(), Cores(4, None), 512 * MB, 2 * MB)
    assert plan.why_workers == ("1/2 of 512 MB memory: 40 MB for their supervisor, 101 MB for each worker -> 2 workers")
    assert plan.why_threads == "no quota, affinity 4 -> 2 threads for each of 2 workers"


def sizes_of(settings: Settings, memory_mb: int = 512, models: int = 2) -> Sizes:
    plan = make_plan(settings, Cores(2, None), memory_mb * MB, 0)
    return make_sizes(settings, plan, resident_bytes=90 * MB, models=models)


def test_the_memory_left_is_shared_out_with_reasons() -> None:
    sizes = sizes_of(Settings())
    assert (sizes.plan.workers, sizes.resident_bytes, sizes.left_bytes) == (2, 90 * MB, 166 * MB)
    assert (sizes.model_bytes, sizes.bodies_bytes) == (83 * MB, 41.5 * MB)
    assert sizes.why == {
        "workers": sizes.plan.why_workers,
        "session_threads": sizes.plan.why_threads,
        "left_mb": "512 MB memory for 2 workers, less 90 MB resident with models loaded",
        "max_queue_rows": "1/8 of the memory left, 256 to 65536 rows for each of 2 models, by a row's size",
        "max_batch_rows": "each model's measured cost, at most its certified batch; 1 if its answers change with the "
        "batch",
        "bodies_mb": "1/4 of the memory left",
    }


def test_without_memory_or_models_there_are_sizes_too() -> None:
    sizes = sizes_of(Settings(), memory_mb=64, models=0)
    assert (sizes.left_bytes, sizes.model_bytes, sizes.bodies_bytes) == (0, 0, Settings().max_body_bytes)
    assert sizes.why["max_queue_rows"] == "1/8 of the memory left, 256 to 65536 rows for the model, by a row's size"
    assert sizes.why["bodies_mb"] == "one body of --max-body-bytes, which is more than 1/4 of the memory left"


def test_a_size_that_is_asked_for_has_that_as_its_reason() -> None:
    chosen = sizes_of(Settings()).why
    asked = sizes_of(Settings(max_queue_rows=5, max_batch_rows=8)).why
    assert {name for name in chosen if chosen[name] != asked[name]} == {"max_queue_rows", "max_batch_rows"}
    assert asked["max_queue_rows"] == asked["max_batch_rows"] == "asked for"


def test_without_coalescing_a_batch_is_one_row() -> None:
    assert sizes_of(Settings(coalescing="off")).why["max_batch_rows"] == "1, for --coalescing is off"


def test_the_queue_is_as_long_as_memory_allows_unless_asked_for(iris_workshop: Workshop) -> None:
    signature = iris_workshop.manifest().signature
    assert sizes_of(Settings(workers=1), memory_mb=100, models=1).queue_rows(signature) == 1717
    assert sizes_of(Settings(max_queue_rows=7)).queue_rows(signature) == 7


def test_the_plan_is_of_this_host() -> None:
    plan = read_plan(Settings(workers=1))
    assert (plan.cores, plan.memory_bytes, plan.threads) == (read_cores(), read_memory_bytes(), plan.cores.usable)


def test_of_each_model_the_newest_counts(workshop: Workshop) -> None:
    newest = workshop.models_dir / "iris" / "10"
    newest.mkdir()
    (newest / MODEL_FILE).write_bytes(b"1234567")
    other = workshop.models_dir / "other" / "2"
    other.mkdir(parents=True)
    (other / MODEL_FILE).write_bytes(b"123")
    assert count_model_bytes(workshop.models_dir) == 10


def test_a_missing_model_file_counts_nothing(tmp_path: Path) -> None:
    assert count_model_bytes(tmp_path / "nowhere") == 0
    (tmp_path / "iris" / "1").mkdir(parents=True)
    assert count_model_bytes(tmp_path) == 0
