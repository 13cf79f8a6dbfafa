"""A locust user that requests predictions of random flowers, and fails on any answer that is no species.

locust rounds its own percentiles to whole milliseconds, and most latencies here are below one. The exact percentiles
are thus kept, and printed as one line of JSON at the end.
"""

import json
import random
import statistics
import time
from typing import Any

from locust import FastHttpUser, events, task

SPECIES = frozenset({"Iris-setosa", "Iris-versicolor", "Iris-virginica"})
RANGES_CM = {
    "SepalLengthCm": (4.3, 7.9),
    "SepalWidthCm": (2.0, 4.4),
    "PetalLengthCm": (1.0, 6.9),
    "PetalWidthCm": (0.1, 2.5),
}

latencies_ms: list[float] = []
failures: list[str] = []
times_s: list[float] = []


class Florist(FastHttpUser):
    """A closed-loop client: sends the next request as soon as the last one is answered."""

    @task
    def predict(self) -> None:
        """Request a prediction for one flower in the usual range."""
        flower = {name: round(random.uniform(*ends), 1) for name, ends in RANGES_CM.items()}  # noqa: S311  no secret
        with self.client.post("/iris/predict", json=flower, catch_response=True) as response:
            if response.status_code != 200 or response.json().get("output") not in SPECIES:
                response.failure(f"expected a species, got {response.status_code} {response.text!r}")


def keep(response_time: float, exception: Exception | None, **_: Any) -> None:
    """Keep one request's latency, or why it failed."""
    times_s.append(time.perf_counter())
    if exception is None:
        latencies_ms.append(response_time)
    else:
        failures.append(str(exception))


def print_figures(**_: Any) -> None:
    """Print the figures of the whole stage."""
    cuts = statistics.quantiles(latencies_ms, n=100) if len(latencies_ms) > 1 else [float("nan")] * 99
    figures = {
        "requests": len(times_s),
        "failures": len(failures),
        "first_failure": failures[0] if failures else None,
        "requests_per_s": len(times_s) / (times_s[-1] - times_s[0]) if len(times_s) > 1 else 0.0,
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
    }
    print(json.dumps(figures))


events.request.add_listener(keep)
events.quitting.add_listener(print_figures)
