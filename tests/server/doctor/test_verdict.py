"""A host without a fault is fit; advice comes with the figure from which it follows."""

from typing import Any

import attrs
import pytest

from server.doctor.budget import Budget
from server.doctor.report import FORMAT, Host, Load, Memory, Refused, Replay, Report, Served, Sizing, Step
from server.doctor.text import write_lines
from server.doctor.verdict import judge

DEADLINE_MS = 1000
MB = 10**6
SOUND = Replay(rows=12, flips_alone=0, flips_together=0, max_difference=1e-7, tolerance=1e-5)
HOST = Host(
    machine="x86_64",
    cpu="A Processor",
    cpu_features=("avx2",),
    cores=4,
    affinity=(0, 1),
    quota_cores=None,
    memory_bytes=256 * MB,
    memory_limited=True,
    onnxruntime="1.32",
    providers=("CPUExecutionProvider",),
)
WHY = dict.fromkeys(("workers", "session_threads", "left_mb", "max_queue_rows", "max_batch_rows", "bodies_mb"), "so")
SIZING = Sizing(1, 2, 100 * MB, 25 * MB, WHY)
IRIS = Served(
    name="iris",
    version=1,
    model_name="log_reg_1",
    file_bytes=600,
    loaded_bytes=5 * MB,
    replay=SOUND,
    batch_us=11.0,
    row_us=0.5,
    full_batch_row_us=0.6,
    max_batch_rows=256,
    max_queue_rows=9000,
    on_worker=False,
    why="measured",
)
FIRST = Step(250, 250, 0.4, 1.5, 250, 0, 0, 0, 0.1, 0.1, 0.0)
SECOND = Step(500, 499, 0.4, 2.5, 500, 0, 0, 0, 0.2, 0.2, 0.0)
MEMORY = Memory(80 * MB, 60 * MB, 90 * MB, 150 * MB, 170 * MB)
LOAD = Load((FIRST, SECOND), "throughput saturated", MEMORY)
REPORT = Report(FORMAT, HOST, SIZING, (IRIS,), (), LOAD, "")
OVER_DEADLINE = "even 250 requests/s are not answered within --deadline-ms 1000: raise it"
OUTPUTS_DIFFER = (
    "iris/1: outputs differ by up to 2.0e-05 on this host, 1.0e-05 is certified: compile and certify it on a host like "
    "this one"
)
NEIGHBOURS = (
    "at 250 requests/s p99 is 60.00 ms, though server and client used only 0.20 of 2 cores: other processes on this "
    "host use the CPU; stop them, or keep a core free"
)
CROWDED = (
    "at 500 requests/s the server used 0.80 and the client 0.95 of 2 cores: send the load from another host to measure "
    "more"
)
SMALLER = (
    "one row costs iris 3.00 ms of the p99 budget of 5 ms: publish a smaller model (fewer or shallower trees, a "
    "narrower network)"
)


def loaded(*steps: Step, **changes: Any) -> Report:
    return attrs.evolve(REPORT, load=attrs.evolve(LOAD, steps=steps or LOAD.steps, **changes))


def served(**changes: Any) -> Report:
    return attrs.evolve(REPORT, served=(attrs.evolve(IRIS, **changes),))


def on_host(report: Report, **changes: Any) -> Report:
    return attrs.evolve(report, host=attrs.evolve(HOST, **changes))


def test_without_a_fault_it_is_fit_and_there_is_nothing_to_change() -> None:
    verdict = judge(REPORT, Budget(p99_ms=3, rss_mb=90), DEADLINE_MS)
    assert (verdict.fit, verdict.faults, verdict.advice, verdict.within_per_s) == (True, (), (), 499)


def test_a_budget_that_only_the_first_rate_keeps_is_kept() -> None:
    verdict = judge(REPORT, Budget(p99_ms=2), DEADLINE_MS)
    assert (verdict.fit, verdict.within_per_s) == (True, 250)


def test_flipped_labels_are_a_fault_also_of_what_is_refused() -> None:
    flipped = attrs.evolve(SOUND, flips_alone=2, flips_together=3, max_difference=0.25)
    refused = Refused("iris", 2, "golden row 0", flipped)
    verdict = judge(attrs.evolve(REPORT, refused=(refused,)), Budget(), DEADLINE_MS)
    (fault,) = verdict.faults
    assert fault == (
        "iris/2: of 12 golden rows 2 get another label one by one, 3 in a batch; outputs differ by up to 2.5e-01, "
        "1.0e-05 is certified"
    )


@pytest.mark.parametrize(
    ("report", "budget", "fault"),
    [
        (REPORT, Budget(p99_ms=1), "p99 1.50 ms at best, 0.50 ms over the budget of 1 ms"),
        (REPORT, Budget(rss_mb=80), "peak RSS 90 MB, 10 MB over the budget of 80 MB"),
        (loaded(FIRST, attrs.evolve(SECOND, wrong=7)), Budget(), "7 answers under load differ from the estimator's"),
        (
            loaded(attrs.evolve(FIRST, p99_ms=None)),
            Budget(),
            "no right answer under load: throughput saturated",
        ),
        (attrs.evolve(REPORT, load=None, load_fault="it did not start"), Budget(), "it did not start"),
        (
            attrs.evolve(REPORT, load=None, served=()),
            Budget(),
            "nothing can be served: no version was found",
        ),
        (
            attrs.evolve(REPORT, load=None, served=(), refused=(Refused("iris", 1, "cut", None),)),
            Budget(),
            "nothing can be served: all 1 versions were refused",
        ),
    ],
)
def test_what_makes_a_host_unfit_is_a_fault(report: Report, budget: Budget, fault: str) -> None:
    verdict = judge(report, budget, DEADLINE_MS)
    assert (verdict.fit, verdict.faults) == (False, (fault,))
    assert f"not fit      {fault}" in write_lines(report, verdict, budget, DEADLINE_MS)


@pytest.mark.parametrize(
    ("report", "budget", "advice"),
    [
        (
            attrs.evolve(REPORT, refused=(Refused("iris", 2, "cut", None),)),
            Budget(),
            "iris/2 is refused: publish it again, or remove it",
        ),
        (
            served(replay=attrs.evolve(SOUND, max_difference=2e-5)),
            Budget(),
            OUTPUTS_DIFFER,
        ),
        (
            on_host(REPORT, memory_bytes=100 * MB),
            Budget(),
            "peak RSS 90 MB of a limit of 100 MB: raise the memory limit to 112 MB, or serve fewer models or workers",
        ),
        (loaded(attrs.evolve(FIRST, p99_ms=None)), Budget(), OVER_DEADLINE),
        (loaded(attrs.evolve(FIRST, p99_ms=1001.0, client_cores=1.0)), Budget(), OVER_DEADLINE),
        (served(batch_us=2900, row_us=100), Budget(p99_ms=5), SMALLER),
        (
            on_host(loaded(attrs.evolve(FIRST, p99_ms=60.0, halted_s=0.3)), quota_cores=0.5),
            Budget(p99_ms=50),
            "at 250 requests/s the CPU quota of 0.5 throttled it for 0.30 s: raise it",
        ),
        (
            loaded(attrs.evolve(FIRST, p99_ms=60.0), SECOND),
            Budget(p99_ms=50),
            NEIGHBOURS,
        ),
        (
            loaded(attrs.evolve(SECOND, server_cores=0.8, client_cores=0.95)),
            Budget(),
            CROWDED,
        ),
        (
            loaded(attrs.evolve(SECOND, server_cores=0.95)),
            Budget(),
            "1 worker used 0.95 of 2 cores: set --workers 2, at 80 MB each",
        ),
    ],
)
def test_advice_follows_from_a_figure(report: Report, budget: Budget, advice: str) -> None:
    verdict = judge(report, budget, DEADLINE_MS)
    assert verdict.advice == (advice,)
    assert f"advice       {advice}" in write_lines(report, verdict, budget, DEADLINE_MS)


@pytest.mark.parametrize(
    "report",
    [
        on_host(REPORT, memory_bytes=100 * MB, memory_limited=False),
        on_host(loaded(attrs.evolve(SECOND, server_cores=0.95, client_cores=0.0)), affinity=(0,), quota_cores=4.0),
    ],
    ids=["no limit to be near to", "no core for another worker"],
)
def test_what_cannot_be_done_is_not_advised(report: Report) -> None:
    assert not [line for line in judge(report, Budget(), DEADLINE_MS).advice if "--workers" in line or "limit" in line]


def text_of(report: Report, budget: Budget) -> str:
    return "\n".join(write_lines(report, judge(report, budget, DEADLINE_MS), budget, DEADLINE_MS))


def test_the_text_says_what_is_missing() -> None:
    refused = (Refused("iris", 2, "cut", None), Refused("iris", 3, "golden row 0", SOUND))
    memory = attrs.evolve(MEMORY, pss_bytes=None, cgroup_peak_bytes=None)
    report = attrs.evolve(
        loaded(attrs.evolve(FIRST, p50_ms=None, p99_ms=None), memory=memory),
        host=attrs.evolve(HOST, cpu_features=(), memory_limited=False),
        served=(attrs.evolve(IRIS, on_worker=True),),
        refused=refused,
    )
    text = text_of(report, Budget())
    expected = ("no instruction set that makes", "no CPU quota", "no cgroup limit", "in a worker thread", "iris/2: cut")
    assert all(words in text for words in expected)
    assert "PSS" not in text
    assert "p99 within" not in text
    assert text.count("golden rows: 0 labels flipped") == 2
    step = next(line for line in text.splitlines() if line.split()[:1] == ["250"])
    assert step.split() == ["250", "250", "-", "-", "0.10", "0.10", "0.00"]


def test_the_text_has_the_memory_and_the_bound_of_the_latency() -> None:
    report = on_host(REPORT, quota_cores=0.5)
    text = text_of(report, Budget())
    assert "CPU quota 0.5" in text
    assert "memory       RSS 80 MB (peak 90), PSS 60 MB" in text
    assert "cgroup peak 170 of 256 MB" in text
    assert "p99 within deadline (1000 ms) up to 499 requests/s" in text
    assert "p99 within budget (2 ms) up to 250 requests/s" in text_of(report, Budget(p99_ms=2))
    assert text.splitlines()[-1] == "fit"
