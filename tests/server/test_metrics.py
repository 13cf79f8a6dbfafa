"""What happened is told in Prometheus's format, once each."""

from server.cost import Cost
from server.metrics import Metrics, ModelMetrics
from server.pending import BatchReport, Limits


def lines(metrics: Metrics) -> set[str]:
    return {line for line in metrics.text().decode().splitlines() if not line.startswith("#")}


def test_counted_requests_are_handed_over_once() -> None:
    metrics = Metrics()
    iris = ModelMetrics(metrics, "iris")
    iris.outcomes["predict", 200] += 3
    iris.outcomes["predict", 422] += 1
    iris.rejections["queue_full"] += 2
    for _ in range(2):
        iris.hand_over(queued_rows=5)
    assert {
        'corolla_requests_total{model="iris",outcome="200",route="predict"} 3.0',
        'corolla_requests_total{model="iris",outcome="422",route="predict"} 1.0',
        'corolla_rejected_total{model="iris",reason="queue_full"} 2.0',
        'corolla_queue_rows{model="iris"} 5.0',
    } <= lines(metrics)


def test_a_batch_is_told_by_its_rows_and_its_stages_in_microseconds() -> None:
    metrics = Metrics()
    iris = ModelMetrics(metrics, "iris")
    iris.parsed, iris.parse_s = 4, 12e-6
    iris.report(BatchReport(rows=4, requests=4, queue_s=60e-6, run_s=30e-6))
    iris.encoded, iris.encode_s = 4, 8e-6
    iris.report(BatchReport(rows=1, requests=1, queue_s=0.0, run_s=10e-6))
    told = lines(metrics)
    assert {
        'corolla_rows_total{model="iris"} 5.0',
        'corolla_batches_total{model="iris"} 2.0',
        'corolla_batch_rows_sum{model="iris"} 5.0',
        'corolla_stage_us_count{model="iris",stage="parse"} 1.0',
        'corolla_stage_us_count{model="iris",stage="encode"} 1.0',
        'corolla_stage_us_bucket{le="5.0",model="iris",stage="parse"} 1.0',
        'corolla_stage_us_bucket{le="20.0",model="iris",stage="run"} 1.0',
        'corolla_stage_us_bucket{le="100.0",model="iris",stage="queue"} 2.0',
    } <= told


def test_how_requests_are_coalesced_is_told_with_its_cost() -> None:
    metrics = Metrics()
    for name, limits, mode in (
        ("a", Limits(256, 9, 1.0, on_worker=False), "inline"),
        ("b", Limits(32, 9, 1.0, on_worker=True), "worker"),
        ("c", Limits(1, 9, 1.0, on_worker=True), "off"),
    ):
        ModelMetrics(metrics, name).describe(Cost(0.25, 0.5), limits, "measured")
        told = lines(metrics)
        assert f'corolla_coalescing{{mode="{mode}",model="{name}",why="measured"}} {limits.max_batch_rows}.0' in told
        assert f'corolla_cost_us{{model="{name}",part="batch"}} 250000.0' in told
        assert f'corolla_cost_us{{model="{name}",part="row"}} 500000.0' in told
