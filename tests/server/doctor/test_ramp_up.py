"""The load rises from a low rate until the server, or this host, is saturated."""

import attrs
import pytest

from server.doctor.child import Child
from server.doctor.openloop import Probe
from server.doctor.ramp_up import Pace, choose_first_rate, find_end, make_probes, ramp_up
from server.doctor.report import Step
from server.models.catalog import Model

QUICK = Pace(warm_up_s=0.05, step_s=0.2, saturation=0.0)
"""No step is too slow: a busy machine may halt a short one for a tenth of it."""


@pytest.mark.parametrize(("row_s", "rate"), [(12e-6, 250), (1e-3, 100), (0.5, 10)])
def test_a_slow_model_gets_a_lower_rate_at_first(row_s: float, rate: float) -> None:
    assert choose_first_rate(row_s) == pytest.approx(rate)


def test_all_models_are_asked_in_turn(models: list[Model]) -> None:
    (iris,) = models
    golden = iris.manifest.golden
    other = attrs.evolve(iris, manifest=attrs.evolve(iris.manifest, name="other", golden=golden[:2]))
    probes = make_probes([iris, other])
    assert [probe.request.split(b"/")[1] for probe in probes[:4]] == [b"iris", b"other"] * 2
    assert len(probes) == 2 * len(golden)
    assert probes[0].answer == probes[1].answer == iris.codec.known_answers[golden[0].output]


def test_each_step_offers_twice_as_much_up_to_the_highest_rate(child: Child, models: list[Model]) -> None:
    pace = attrs.evolve(QUICK, max_rate=100.0)
    steps, ended = ramp_up(child, make_probes(models), 25, 10_000, pace)
    assert [step.offered_per_s for step in steps] == [25, 50, 100]
    assert ended == "10 s were over, or 100 requests/s reached"
    for step in steps:
        assert (step.answered, step.refused, step.wrong, step.lost) == (0.2 * step.offered_per_s, 0, 0, 0)
        assert step.p50_ms is not None
        assert step.p99_ms is not None
        assert 0 < step.p50_ms <= step.p99_ms
        assert step.server_cores >= 0
        assert step.client_cores > 0
        assert step.halted_s >= 0


def test_a_p99_beyond_its_bound_twice_ends_it(child: Child, models: list[Model]) -> None:
    steps, ended = ramp_up(child, make_probes(models), 100, 1e-3, QUICK)
    assert (len(steps), ended) == (2, "p99 over 0.001 ms at two rates in turn")


def test_a_wrong_answer_ends_it(child: Child, models: list[Model]) -> None:
    probes = [Probe(probe.request, b"{}") for probe in make_probes(models)]
    (step,), ended = ramp_up(child, probes, 100, 10_000, QUICK)
    assert (step.answered, step.p50_ms, step.p99_ms, step.wrong) == (0, None, None, 20)
    assert ended == "0 requests got an error, 20 a wrong answer, 0 none"


def test_the_whole_ramp_up_has_its_time(child: Child, models: list[Model]) -> None:
    pace = attrs.evolve(QUICK, total_s=0.0)
    assert ramp_up(child, make_probes(models), 100, 10_000, pace)[0] == ()


STEP = Step(1000, 800, 1.0, 1.0, 800, 0, 0, 0, 1.0, 1.0, 0.0)


def test_throughput_below_the_offered_rate_is_saturated() -> None:
    assert find_end([STEP], 5, saturation=0.9) == "throughput saturated"
    assert find_end([attrs.evolve(STEP, answered_per_s=950)], 5, saturation=0.9) == ""
