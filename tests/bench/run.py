"""The benchmark: servers measured in turn in one run, each beside the others as a ratio.

Servers are pinned to one core and the load to another. Each figure is the median of the rounds, each ratio the median
of the rounds' own ratios. Tables are printed, and written with plots to tests/bench/reports. With `--baseline DIR` the
part `throughput` measures Corolla alone: this checkout beside the one in DIR, in the same environment and with the same
models.
"""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import arena, load, overload, report, startup
from tests.bench.models import ESTIMATORS, ROOT, Published, publish
from tests.bench.targets import (
    BEFORE,
    BEFORE_NO_LANE,
    COROLLA,
    FASTAPI,
    NGINX,
    NO_LANE,
    ONE_BY_ONE,
    RAW,
    UNMEASURED,
    Target,
    is_installed,
    start,
)

CONNECTIONS = (1, 8, 32, 128)
SERVERS = (RAW, NGINX, COROLLA, NO_LANE, ONE_BY_ONE, FASTAPI)
BASELINES = {COROLLA: BEFORE, NO_LANE: BEFORE_NO_LANE}
"""This checkout's servers, and the baseline's that each is compared with."""
CONSTANT_ID, CHANGING_ID = "constant X-Request-Id", "changing X-Request-Id"
PATIENT = ("--deadline-ms", "60000")
"""Flags under which no request is refused for want of time: throughput is measured, not load shedding."""
PARTS = ("throughput", "request-id", "metrics", "sessions", "startup", "overload")


@attrs.frozen
class Effort:
    """How thoroughly, where and beside what is measured.

    Attributes:
        rounds: How often each server is measured.
        seconds: How long each round takes.
        core: The core of the servers.
        load_core: The core of the load.
        baseline: Another checkout of the project to compare with, if any.
    """

    rounds: int
    seconds: int
    core: int
    load_core: int
    baseline: Path | None


def main(arguments: Sequence[str]) -> int:
    """Run the parts that are asked for."""
    options = _parse(arguments)
    cores = sorted(os.sched_getaffinity(0))
    effort = Effort(options.rounds, options.seconds, cores[0], cores[-1], options.baseline)
    published = [publish(name) for name in options.models]
    about = (
        f"server on core {effort.core}, load on core {effort.load_core}, {effort.rounds} rounds of {effort.seconds} s"
    )
    written = report.Report(f"{load.tool()}; {about}")
    for part in options.parts:
        _measure_part(part, published, effort, written)
    written.close()
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Corolla beside its peers, or beside another checkout of it.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: 5)")
    parser.add_argument("--seconds", type=int, default=2, help="how long each time (default: 2)")
    parser.add_argument("--models", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS), help="default: all")
    possible = [part for part in PARTS if part != "request-id" or load.has_wrk()]
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=possible, help="default: all")
    parser.add_argument("--baseline", metavar="DIR", type=_checkout, help="another checkout to compare throughput with")
    options = parser.parse_args(arguments)
    if "request-id" in options.parts and not load.has_wrk():
        parser.error("the part request-id needs wrk, which is not installed")
    return options


def _checkout(text: str) -> Path:
    folder = Path(text).resolve()
    if not (folder / "server" / "__main__.py").is_file():
        raise argparse.ArgumentTypeError(f"expected a checkout of the project, found no server/__main__.py in {folder}")
    return folder


def measure(model: Published, servers: Sequence[str], connections: Sequence[int], effort: Effort) -> report.Measured:
    """Start servers and measure them in turn.

    Returns:
        The figures of each round, by server and number of connections.
    """
    with ExitStack() as started:
        targets = [
            started.enter_context(start(name, model, effort.core, PATIENT, effort.baseline or ROOT)) for name in servers
        ]
        cases = {target.name: functools.partial(_load, effort, load.SCRIPT, target) for target in targets}
        return take_turns(cases, connections, effort.rounds)


def measure_request_ids(model: Published, effort: Effort) -> report.Measured:
    """Measure one server whose clients send the same request head again and again, or another one each time."""
    scripts = {CONSTANT_ID: load.CONSTANT_ID, CHANGING_ID: load.CHANGING_ID}
    with start(COROLLA, model, effort.core, PATIENT) as target:
        cases = {name: functools.partial(_load, effort, script, target) for name, script in scripts.items()}
        return take_turns(cases, CONNECTIONS, effort.rounds)


def take_turns(
    cases: Mapping[str, Callable[[int], load.Figures]], connections: Sequence[int], rounds: int
) -> report.Measured:
    """Measure cases in turn, round by round.

    Args:
        cases: What measures a case once over a number of connections, by the case's name.
        connections: The numbers of connections.
        rounds: How often each case is measured.

    Returns:
        The figures of each round, by case and number of connections.
    """
    measured: dict[str, dict[int, list[load.Figures]]] = {name: {count: [] for count in connections} for name in cases}
    for count in connections:
        for number in range(rounds):
            # Each other round goes the other way about, so that none always comes after the same neighbour.
            for name in list(cases)[:: 1 if number % 2 else -1]:
                measured[name][count].append(cases[name](count))
    return measured


def _load(effort: Effort, script: str, target: Target, connections: int) -> load.Figures:
    return load.measure(target, connections, effort.seconds, effort.load_core, script)


def _measure_part(part: str, models: Sequence[Published], effort: Effort, written: report.Report) -> None:
    first = models[0]
    if part == "throughput":
        _measure_throughput(models, effort, written)
    elif part == "request-id":
        lines = report.throughput_lines(measure_request_ids(first, effort), (CONSTANT_ID,))
        written.add_lines("A changing X-Request-Id", lines)
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


def _measure_throughput(models: Sequence[Published], effort: Effort, written: report.Report) -> None:
    for model in models:
        if effort.baseline is not None:
            servers = [name for pair in BASELINES.items() for name in pair]
            measured = measure(model, servers, CONNECTIONS, effort)
            written.add_throughput(model.name, measured)
            written.add_lines(f"After / before: {model.name}", report.ratio_lines(measured, BASELINES))
        else:
            # A constant is the same beside every model, and measured once.
            left_out = () if model is models[0] else (RAW, NGINX)
            servers = [name for name in SERVERS if is_installed(name) and name not in left_out]
            written.add_throughput(model.name, measure(model, servers, CONNECTIONS, effort))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
