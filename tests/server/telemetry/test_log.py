"""Every record is one line of JSON, whatever is in it."""

import json
import logging
import re
import sys
from pathlib import Path

from server.telemetry.log import JsonFormatter


def test_context_and_message_are_one_json_object_on_one_line() -> None:
    record = logging.makeLogRecord(
        {"levelname": "ERROR", "msg": "two\nlines %s", "args": ("é",), "context": {"model": "iris"}}
    )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {"level": "error", "message": "two\nlines é", "model": "iris"}


def test_a_traceback_is_part_of_the_line() -> None:
    try:
        int("why")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("ValueError: invalid literal for int() with base 10: 'why'")


def test_every_record_of_the_server_has_its_context_under_the_name_that_is_written() -> None:
    for path in (Path(__file__).parents[3] / "server").rglob("*.py"):
        assert set(re.findall(r'extra=\{"(\w+)"', path.read_text())) <= {"context"}, path
