"""What happened is told in Prometheus's format, once each, and for all workers together."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from server.coalescing.cost import Cost
from server.coalescing.pending import BatchReport, Limits
from server.telemetry.metrics import STAGE_BUCKETS_S, Metrics, ModelMetrics, Tally


def instruments(limits: Limits = Limits(256, 9, 1.0, on_worker=False), queued: int = 5) -> ModelMetrics:  # noqa: B008  a frozen value
    return ModelMetrics(Cost(0.25, 0.5), limits, "measured", lambda: queued, Counter())


def lines(metrics: Metrics) -> set[str]:
    return {line for line in metrics.text().decode().splitlines() if not line.startswith("#")}


def test_counted_requests_are_told_however_often_one_asks() -> None:
    iris = instruments()
    metrics = Metrics({"iris": iris})
    iris.outcomes["predict", 200] += 3
    iris.outcomes["predict", 422] += 1
    iris.rejections["queue_full"] += 2
    for _ in range(2):
        assert {
            'corolla_requests_total{model="iris",outcome="200",route="predict"} 3.0',
            'corolla_requests_total{model="iris",outcome="422",route="predict"} 1.0',
            'corolla_rejected_total{model="iris",reason="queue_full"} 2.0',
            'corolla_queue_rows{model="iris"} 5.0',
        } <= lines(metrics)


def test_a_batch_is_told_by_its_rows_and_its_stages_in_seconds() -> None:
    iris = instruments()
    iris.parsed, iris.parse_s = 4, 12e-6
    iris.report(BatchReport(rows=[()] * 4, requests=4, queue_s=60e-6, run_s=30e-6, settle_s=16e-6))
    iris.report(BatchReport(rows=[()] * 1, requests=1, queue_s=0.0, run_s=10e-6, settle_s=2e-6))
    assert {
        'corolla_rows_total{model="iris"} 5.0',
        'corolla_batches_total{model="iris"} 2.0',
        'corolla_batch_rows_sum{model="iris"} 5.0',
        'corolla_stage_seconds_count{model="iris",stage="parse"} 1.0',
        'corolla_stage_seconds_sum{model="iris",stage="encode"} 6e-06',
        'corolla_stage_seconds_bucket{le="5e-06",model="iris",stage="parse"} 1.0',
        'corolla_stage_seconds_bucket{le="2e-05",model="iris",stage="run"} 1.0',
        'corolla_stage_seconds_bucket{le="0.0001",model="iris",stage="queue"} 2.0',
        'corolla_stage_seconds_bucket{le="+Inf",model="iris",stage="queue"} 2.0',
    } <= lines(Metrics({"iris": iris}))


@given(st.lists(st.floats(0, 2), max_size=50))
def test_a_tally_counts_into_the_buckets_that_prometheus_would(numbers: list[float]) -> None:
    registry = CollectorRegistry()
    peer = Histogram("peer", "The same numbers.", buckets=STAGE_BUCKETS_S, registry=registry)
    tally = Tally.of(STAGE_BUCKETS_S)
    for number in numbers:
        peer.observe(number)
        tally.add(number)
    (family,) = registry.collect()
    told = [sample.value for sample in family.samples if sample.name == "peer_bucket"]
    assert [count for _, count in tally.cumulated()] == told
    assert tally.total == pytest.approx(sum(numbers))


@pytest.mark.parametrize(
    ("limits", "mode"),
    [
        (Limits(256, 9, 1.0, on_worker=False), "inline"),
        (Limits(32, 9, 1.0, on_worker=True), "worker"),
        (Limits(1, 9, 1.0, on_worker=True), "off"),
    ],
)
def test_how_requests_are_coalesced_is_told_with_its_cost(limits: Limits, mode: str) -> None:
    told = lines(Metrics({"a": instruments(limits)}))
    assert f'corolla_coalescing{{mode="{mode}",model="a",why="measured"}} {limits.max_batch_rows}.0' in told
    assert 'corolla_cost_seconds{model="a",part="batch"} 0.25' in told
    assert 'corolla_cost_seconds{model="a",part="row"} 0.5' in told


def test_what_other_workers_counted_is_added_and_a_dead_ones_queue_is_not() -> None:
    counted = []
    for _ in range(2):
        other = instruments()
        other.outcomes["predict", 200] += 10
        other.rejections["expired"] += 1
        other.report(BatchReport(rows=[()] * 8, requests=8, queue_s=0.0, run_s=10e-6, settle_s=2e-6))
        counted.append(Metrics({"iris": other}).snapshot())
    own = instruments()
    own.outcomes["predict", 200] += 1
    metrics = Metrics({"iris": own}, lambda: [(counted[0], True), (counted[1], False)])
    for _ in range(2):
        assert {
            'corolla_requests_total{model="iris",outcome="200",route="predict"} 21.0',
            'corolla_rejected_total{model="iris",reason="expired"} 2.0',
            'corolla_rows_total{model="iris"} 16.0',
            'corolla_stage_seconds_count{model="iris",stage="run"} 2.0',
            'corolla_queue_rows{model="iris"} 10.0',
        } <= lines(metrics)


def test_every_metric_is_in_the_docs() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "coalescing.md").read_text()
    told = Metrics({"iris": instruments()}).text().decode()
    for family in text_string_to_metric_families(told):
        name = family.name + "_total" * (family.type == "counter")
        assert f"`{name}" in documented, name


def test_refusals_of_all_workers_are_added() -> None:
    other = Metrics({}, refusals={(404, "unknown_route"): 2, (431, "headers_too_large"): 1}).snapshot()
    metrics = Metrics({}, lambda: [(other, True), (other, False)], {(404, "unknown_route"): 1})
    for _ in range(2):
        assert {
            'corolla_refused_total{reason="unknown_route",status="404"} 5.0',
            'corolla_refused_total{reason="headers_too_large",status="431"} 2.0',
        } <= lines(metrics)


def unseen(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Gives how many values were unseen, by model and feature."""
    (family,) = (
        one
        for one in text_string_to_metric_families(metrics.text().decode())
        if one.name == "corolla_unseen_categories"
    )
    return {(sample.labels["model"], sample.labels["feature"]): sample.value for sample in family.samples}


def test_unseen_categories_are_told_from_the_first_and_added_over_workers() -> None:
    """A feature that nobody saw anything new of is told as 0, by one worker and by several."""
    odd = 'say "x"\n'
    own, other = (
        ModelMetrics(Cost(0, 0), Limits(1, 1, 1.0, on_worker=False), "", lambda: 0, Counter({"colour": 0, odd: 0}))
        for _ in range(2)
    )
    counted = own.count().unseen
    alone, together = Metrics({"a": own}), Metrics({"a": own}, lambda: [(Metrics({"a": other}).snapshot(), False)])
    for metrics in (alone, together):
        assert unseen(metrics) == {("a", "colour"): 0, ("a", odd): 0}
    counted["colour"] += 2
    other.count().unseen["colour"] += 3
    other.count().unseen[odd] += 1
    assert unseen(alone) == {("a", "colour"): 2, ("a", odd): 0}
    for _ in range(2):
        assert unseen(together) == {("a", "colour"): 5, ("a", odd): 1}
