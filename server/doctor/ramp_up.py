"""A server under rising load: doubles the rate step by step until throughput saturates or latency passes its bound."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import attrs

from server.contract.signature import Answer
from server.doctor.child import Child
from server.doctor.openloop import OpenLoop, Outcome, Probe
from server.doctor.report import Step
from server.host.cgroup import read_throttled_s
from server.models.catalog import Model

FIRST_RATES = (10.0, 250.0)
"""The lowest and the highest rate of the first step, in requests a second."""
FIRST_SHARE = 0.1
"""The first step's share of the rate at which the sessions could answer rows one by one, within `FIRST_RATES`."""


@attrs.frozen
class Pace:
    """How a load rises.

    Attributes:
        warm_up_s: How long the first rate is offered before anything is measured.
        step_s: How long each rate is offered.
        total_s: No step begins later than this.
        max_rate: The highest rate: what a client on the same host can offer at the very most.
        saturation: Throughput below this share of the offered rate is saturated, and ends the ramp-up.
    """

    warm_up_s: float = 0.3
    step_s: float = 1.0
    total_s: float = 10.0
    max_rate: float = 32_000.0
    saturation: float = 0.9


PACE = Pace()


def make_probes(models: Sequence[Model]) -> list[Probe]:
    """Make a request of each golden row of all models, model by model in turn."""
    of_models = [[_make_probe(model, index) for index in range(len(model.manifest.golden))] for model in models]
    longest = max(map(len, of_models))
    return [probes[index % len(probes)] for index in range(longest) for probes in of_models]


def choose_first_rate(row_s: float) -> float:
    """Return the rate of the first step.

    Args:
        row_s: The time that a session takes for one row, as a mean over the models.
    """
    lowest, highest = FIRST_RATES
    return max(lowest, min(highest, FIRST_SHARE / row_s))


def ramp_up(
    child: Child, probes: Sequence[Probe], first_rate: float, p99_ms: float, pace: Pace = PACE
) -> tuple[tuple[Step, ...], str]:
    """Offer a rising load.

    Args:
        child: The server.
        probes: The requests to send.
        first_rate: The rate of the first step, in requests a second.
        p99_ms: The bound of the 99th percentile of the latency; two steps in turn beyond it end the ramp-up.
        pace: How the load rises.

    Returns:
        The steps, and why there was no further one.

    Raises:
        NotServingError: If the server stops serving.
    """
    steps: list[Step] = []
    with closing(OpenLoop(child.port, probes)) as loop:
        loop.offer(first_rate, pace.warm_up_s)
        for rate in _rates(first_rate, pace):
            steps.append(_measure(child, loop, rate, pace.step_s))
            if reason := find_end(steps, p99_ms, pace.saturation):
                return tuple(steps), reason
    return tuple(steps), f"{pace.total_s:g} s were over, or {pace.max_rate:g} requests/s reached"


def find_end(steps: Sequence[Step], p99_ms: float, saturation: float) -> str:
    """Return why no higher rate is to be offered; empty if one is.

    Args:
        steps: What was measured so far.
        p99_ms: The bound of the 99th percentile of the latency.
        saturation: The least share of the offered rate that has to be answered.
    """
    step = steps[-1]
    if step.refused or step.wrong or step.lost:
        return f"{step.refused} requests got an error, {step.wrong} a wrong answer, {step.lost} none"
    # A step is short, and a neighbour on the host can make a light load late: one late step is no end.
    if len(steps) > 1 and all(late.p99_ms is not None and late.p99_ms > p99_ms for late in steps[-2:]):
        return f"p99 over {p99_ms:g} ms at two rates in turn"
    if step.answered_per_s < saturation * step.offered_per_s:
        return "throughput saturated"
    return ""


def _rates(first_rate: float, pace: Pace) -> Iterator[float]:
    end_s = time.perf_counter() + pace.total_s
    rate = first_rate
    while rate <= pace.max_rate and time.perf_counter() < end_s:
        yield rate
        rate *= 2


def _measure(child: Child, loop: OpenLoop, rate: float, step_s: float) -> Step:
    server_s, client_s, throttled_s = child.tree.cpu_s(), time.process_time(), read_throttled_s()
    outcome = loop.offer(rate, step_s)
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
        halted_s=read_throttled_s() - throttled_s,
    )


def _percentile(outcome: Outcome, part: int) -> float | None:
    """Return a percentile of the latencies by the nearest rank; None without latencies."""
    if not outcome.latencies_ms:
        return None
    return sorted(outcome.latencies_ms)[-(-len(outcome.latencies_ms) * part // 100) - 1]


def _make_probe(model: Model, index: int) -> Probe:
    golden = model.manifest.golden[index]
    body = golden.to_request()
    head = (
        f"POST /{model.manifest.name}/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    answer = model.codec.encode_answer(Answer(golden.output, golden.probabilities), probabilities=False)
    tolerance = model.manifest.parity.tolerance * golden.scale if model.manifest.signature.is_regressor else None
    return Probe(head.encode() + body, answer, tolerance)
