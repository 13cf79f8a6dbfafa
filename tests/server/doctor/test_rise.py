"""The load rises from what is surely little until the server, or this host, has enough."""

import attrs
import pytest

from server.doctor import rise as rise_module
from server.doctor.child import Child
from server.doctor.openloop import Question
from server.doctor.report import Step
from server.doctor.rise import choose_first_rate, make_questions, rise
from server.models.catalog import Model


@pytest.fixture(autouse=True)
def _short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rise_module, "STEP_S", 0.2)
    monkeypatch.setattr(rise_module, "WARM_UP_S", 0.05)
    monkeypatch.setattr(rise_module, "KEEPS_UP", 0.0)  # a busy machine may halt a short step for a tenth of it


@pytest.mark.parametrize(("row_s", "rate"), [(12e-6, 250), (1e-3, 100), (0.5, 10)])
def test_a_slow_model_is_asked_less_at_first(row_s: float, rate: float) -> None:
    assert choose_first_rate(row_s) == pytest.approx(rate)


def test_all_models_are_asked_in_turn(models: list[Model]) -> None:
    (iris,) = models
    golden = iris.manifest.golden
    other = attrs.evolve(iris, manifest=attrs.evolve(iris.manifest, name="other", golden=golden[:2]))
    questions = make_questions([iris, other])
    assert [question.request.split(b"/")[1] for question in questions[:4]] == [b"iris", b"other"] * 2
    assert len(questions) == 2 * len(golden)
    assert questions[0].answer == questions[1].answer == iris.codec.known_answers[golden[0].output]


def test_each_step_offers_twice_as_much_as_long_as_there_is_time(
    child: Child, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rise_module, "MAX_RATE", 100.0)
    steps, ended = rise(child, make_questions(models), 25, p99_ms=10_000)
    assert [step.offered_per_s for step in steps] == [25, 50, 100]
    assert ended == "the time for it was over, or this client can offer no more"
    for step in steps:
        assert (step.answered, step.refused, step.wrong, step.lost) == (0.2 * step.offered_per_s, 0, 0, 0)
        assert step.p50_ms is not None
        assert step.p99_ms is not None
        assert 0 < step.p50_ms <= step.p99_ms
        assert step.server_cores >= 0
        assert step.client_cores > 0
        assert step.halted_s >= 0


def test_a_p99_beyond_its_bound_twice_is_enough(child: Child, models: list[Model]) -> None:
    steps, ended = rise(child, make_questions(models), 100, p99_ms=1e-3)
    assert (len(steps), ended) == (2, "the p99 passed 0.001 ms twice")


def test_a_wrong_answer_is_enough(child: Child, models: list[Model]) -> None:
    asked = [Question(question.request, b"{}") for question in make_questions(models)]
    (step,), ended = rise(child, asked, 100, p99_ms=10_000)
    assert (step.answered, step.p50_ms, step.p99_ms, step.wrong) == (0, None, None, 20)
    assert ended == "0 requests were refused, 20 answered wrongly, 0 not answered"


def test_the_whole_rise_has_its_time(child: Child, models: list[Model], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rise_module, "LOAD_S", 0.0)
    assert rise(child, make_questions(models), 100, p99_ms=10_000)[0] == ()


LAZY = Step(1000, 800, 1.0, 1.0, 800, 0, 0, 0, 1.0, 1.0, 0.0)


def test_one_that_answers_less_than_is_offered_has_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rise_module, "KEEPS_UP", 0.9)
    assert rise_module._find_end([LAZY], 5) == "the rate grew no further"
    assert rise_module._find_end([attrs.evolve(LAZY, answered_per_s=950)], 5) == ""
