"""The benchmark: servers measured in turn in one run, and what each does for each other one told as a ratio.

The servers are pinned to one core and the load to another; every figure is the median of the rounds, every ratio the
median of the rounds' own ratios. It prints tables and writes them, with plots, to tests/bench/reports.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import arena, load, overload, report, startup
from tests.bench.models import ESTIMATORS, Published, publish
from tests.bench.targets import (
    COROLLA,
    FASTAPI,
    NGINX,
    NO_LANE,
    ONE_BY_ONE,
    RAW,
    UNMEASURED,
    is_installed,
    start,
)

CONNECTIONS = (1, 8, 32, 128)
SERVERS = (RAW, NGINX, COROLLA, NO_LANE, ONE_BY_ONE, FASTAPI)
PATIENT = ("--deadline-ms", "60000")
"""Throughput is what is asked here, and not what is refused in time."""
PARTS = ("throughput", "metrics", "sessions", "startup", "overload")


@attrs.frozen
class Effort:
    """How thoroughly is measured, and where.

    Attributes:
        rounds: How often each server is measured.
        seconds: How long each time.
        core: Where the servers run.
        load_core: Where the load comes from.
    """

    rounds: int
    seconds: int
    core: int
    load_core: int


def main(arguments: Sequence[str]) -> int:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description="Measure Corolla beside its peers.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: 5)")
    parser.add_argument("--seconds", type=int, default=2, help="how long each time (default: 2)")
    parser.add_argument("--models", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS), help="default: all")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    options = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    effort = Effort(options.rounds, options.seconds, cores[0], cores[-1])
    published = [publish(name) for name in options.models]
    about = (
        f"server on core {effort.core}, load on core {effort.load_core}, {effort.rounds} rounds of {effort.seconds} s"
    )
    written = report.Report(f"{load.tool()}; {about}")
    for part in options.parts:
        _measure_part(part, published, effort, written)
    written.close()
    return 0


def measure(
    model: Published, servers: Sequence[str], connections: Sequence[int], effort: Effort
) -> Mapping[str, Mapping[int, list[load.Figures]]]:
    """Measures servers in turn, round by round.

    Returns:
        The figures of each round, by server and number of connections.
    """
    with ExitStack() as started:
        targets = [started.enter_context(start(name, model, effort.core, PATIENT)) for name in servers]
        measured: dict[str, dict[int, list[load.Figures]]] = {
            target.name: {count: [] for count in connections} for target in targets
        }
        for count in connections:
            for number in range(effort.rounds):
                # Each other round goes the other way about, so that none always comes after the same neighbour.
                for target in targets[:: 1 if number % 2 else -1]:
                    figures = load.measure(target, count, effort.seconds, effort.load_core)
                    measured[target.name][count].append(figures)
    return measured


def _measure_part(part: str, models: Sequence[Published], effort: Effort, written: report.Report) -> None:
    first = models[0]
    if part == "throughput":
        for model in models:
            # A constant is the same beside every model, and measured once.
            left_out = () if model is first else (RAW, NGINX)
            servers = [name for name in SERVERS if is_installed(name) and name not in left_out]
            written.add_throughput(model.name, measure(model, servers, CONNECTIONS, effort))
    elif part == "metrics":
        measured = measure(first, (UNMEASURED, COROLLA), (1, 32), effort)
        written.add_lines("What metrics cost", report.throughput_lines(measured, (UNMEASURED,)))
    elif part == "sessions":
        written.add_lines("Memory arena", arena.measure(models, effort.rounds, effort.core))
    elif part == "startup":
        lines = startup.measure(first, effort.rounds, effort.core, effort.load_core)
        written.add_lines("Start and memory", lines)
    else:
        written.add_lines("Overload", overload.measure(first, effort.core, effort.load_core))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
