"""A server and its models -> its latency at rising load, until it has enough; knows nothing of reports for people."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from server.contract.signature import Answer
from server.doctor.child import Child
from server.doctor.openloop import OpenLoop, Outcome, Question
from server.doctor.report import Step
from server.host.cgroup import read_throttled_s
from server.models.catalog import Model

STEP_S = 1.0
WARM_UP_S = 0.3
LOAD_S = 10.0
"""How long all steps may take together."""
FIRST_RATES = (10.0, 250.0)
"""The least and the most requests a second that are offered first."""
FIRST_SHARE = 0.1
"""The part of what the sessions could answer one by one that is offered first, within these."""
RISE = 2
MAX_RATE = 32_000.0
"""What a client on the same host can offer at the very most."""
KEEPS_UP = 0.9
"""A server that answers a smaller part of what is offered has enough."""


def make_questions(models: Sequence[Model]) -> list[Question]:
    """Makes requests of the golden rows of all models, model by model in turn."""
    asked = [[_make_question(model, index) for index in range(len(model.manifest.golden))] for model in models]
    longest = max(map(len, asked))
    return [questions[index % len(questions)] for index in range(longest) for questions in asked]


def choose_first_rate(row_s: float) -> float:
    """Gives the rate to begin with.

    Args:
        row_s: How long a row by itself takes a session, as a mean over the models.
    """
    least, most = FIRST_RATES
    return max(least, min(most, FIRST_SHARE / row_s))


def rise(child: Child, questions: Sequence[Question], first_rate: float, p99_ms: float) -> tuple[tuple[Step, ...], str]:
    """Offers twice as much again and again.

    Args:
        child: The server.
        questions: What to ask.
        first_rate: The requests a second to begin with.
        p99_ms: The latency beyond which it has enough.

    Returns:
        The steps, and why there was no further one.

    Raises:
        NotServingError: If it serves no more.
    """
    steps: list[Step] = []
    with closing(OpenLoop(child.port, questions)) as loop:
        loop.offer(first_rate, WARM_UP_S)
        for rate in _rates(first_rate):
            steps.append(_measure(child, loop, rate))
            if ended := _find_end(steps, p99_ms):
                return tuple(steps), ended
    return tuple(steps), "the time for it was over, or this client can offer no more"


def _rates(first_rate: float) -> Iterator[float]:
    end_s = time.perf_counter() + LOAD_S
    rate = first_rate
    while rate <= MAX_RATE and time.perf_counter() < end_s:
        yield rate
        rate *= RISE


def _measure(child: Child, loop: OpenLoop, rate: float) -> Step:
    server_s, client_s, halted_s = child.tree.cpu_s(), time.process_time(), read_throttled_s()
    outcome = loop.offer(rate, STEP_S)
    return Step(
        offered_per_s=rate,
        answered_per_s=len(outcome.latencies_ms) / outcome.elapsed_s,
        p50_ms=_percentile(outcome, 50),
        p99_ms=_percentile(outcome, 99),
        answered=len(outcome.latencies_ms),
        refused=outcome.refused,
        wrong=outcome.wrong,
        lost=outcome.lost,
        server_cores=(child.tree.cpu_s() - server_s) / outcome.elapsed_s,
        client_cores=(time.process_time() - client_s) / outcome.elapsed_s,
        halted_s=read_throttled_s() - halted_s,
    )


def _find_end(steps: Sequence[Step], p99_ms: float) -> str:
    """Says why no more is to be offered, if that is so."""
    step = steps[-1]
    if step.refused or step.wrong or step.lost:
        return f"{step.refused} requests were refused, {step.wrong} answered wrongly, {step.lost} not answered"
    # A second is short, and a neighbour on the host can make a light load late: it has enough where it is so twice.
    if len(steps) > 1 and all(late.p99_ms is not None and late.p99_ms > p99_ms for late in steps[-2:]):
        return f"the p99 passed {p99_ms:g} ms twice"
    if step.answered_per_s < KEEPS_UP * step.offered_per_s:
        return "the rate grew no further"
    return ""


def _percentile(outcome: Outcome, part: int) -> float | None:
    """Gives a percentile, by the nearest rank."""
    return (
        sorted(outcome.latencies_ms)[-(-len(outcome.latencies_ms) * part // 100) - 1] if outcome.latencies_ms else None
    )


def _make_question(model: Model, index: int) -> Question:
    known = model.manifest.golden[index]
    body = known.to_request()
    head = (
        f"POST /{model.manifest.name}/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    answer = model.codec.encode_answer(Answer(known.output, known.probabilities), probabilities=False)
    tolerance = model.manifest.parity.tolerance * known.scale if model.manifest.signature.is_regressor else None
    return Question(head.encode() + body, answer, tolerance)
