"""`python -m server doctor`: reports on this host and its models, and says by its exit code whether they are fit.

The exit code is 0 if they are fit, 1 if they are not, and 2 for a bad command line.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import attrs
import msgspec

from server.doctor.budget import Budget, parse_budget
from server.doctor.examination import examine
from server.doctor.report import Report, Verdict
from server.doctor.text import write_lines
from server.doctor.verdict import judge
from server.errors import SettingsError
from server.settings import make_parser, read_settings


def main(arguments: Sequence[str]) -> int:
    """Print the report and return the exit code.

    Raises:
        SystemExit: With 2 for flags and settings that cannot be used, with 128 plus its number after a signal.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    own, whole = _make_parsers()
    whole.parse_args(arguments)  # for --help, and for flags that do not exist
    options, flags = own.parse_known_args(arguments)
    try:
        settings = read_settings(flags, os.environ)
    except SettingsError as error:
        whole.error(f"bad setting: {error}")
    logging.disable()  # what a server would log stands in the report
    report = examine(settings, flags, options.budget)
    verdict = judge(report, options.budget, settings.deadline_ms)
    if options.json:
        print(_to_json(report, verdict, options.budget))
    else:
        print("\n".join(write_lines(report, verdict, options.budget, settings.deadline_ms)))
    return 0 if verdict.fit else 1


def _make_parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """Return the parser of the doctor's own flags, and the one of these and the server's together."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--json", action="store_true", help="print JSON instead of text")
    own.add_argument(
        "--budget",
        metavar="BOUNDS",
        type=_budget,
        default=Budget(),
        help="limits to keep, as in p99_ms=5,rss_mb=200: p99_ms is the 99th percentile of the latency, kept if one "
        "offered rate or more is within it; rss_mb is the server's peak resident memory (RSS)",
    )
    whole = argparse.ArgumentParser(
        prog="python -m server doctor",
        description="Check whether this host is fit to serve these models within a budget. Replay each model's golden "
        "rows, measure what a row costs, start a server of these settings on a free port, ramp up its load until "
        "throughput saturates, and advise what to change.",
        epilog="The exit code is 0 if all is fit, 1 if it is not, 2 for a bad flag. It takes about 20 s at most.",
        parents=[own, make_parser()],
        add_help=False,
        allow_abbrev=False,
    )
    return own, whole


def _budget(text: str) -> Budget:
    try:
        return parse_budget(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _to_json(report: Report, verdict: Verdict, budget: Budget) -> str:
    fields: dict[str, Any] = {**_fields(report), "budget": budget, "verdict": verdict}
    return msgspec.json.format(msgspec.json.encode(fields), indent=2).decode()


def _fields(report: Report) -> dict[str, Any]:
    return {field.name: getattr(report, field.name) for field in attrs.fields(Report)}


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
