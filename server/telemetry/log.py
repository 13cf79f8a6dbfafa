"""Writes log records to standard error as JSON, one object a line."""

import json
import logging
import sys
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """Formats time (UTC), level, message and the record's context as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record; its context is what the caller passed as ``extra={"context": {...}}``."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "context", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # A path may hold bytes that are no UTF-8, which Python carries as lone surrogates.
        return json.dumps(line, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace").decode()


def configure() -> None:
    """Send every logger of the process, uvicorn's and Litestar's too, and warnings to standard error as JSON lines."""
    logging.captureWarnings(capture=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
