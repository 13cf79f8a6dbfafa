"""Log records -> JSON lines on standard error, one object a line; knows nothing of what is logged."""

import json
import logging
import sys
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """Writes time (UTC), level, message and the record's ``facts`` as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats one record; the facts are what the caller passed as ``extra={"facts": {...}}``."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # A path may hold bytes that are no UTF-8, which Python carries as lone surrogates.
        return json.dumps(line, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace").decode()


def configure() -> None:
    """Sends every logger of the process, uvicorn's and Litestar's too, and warnings to standard error as JSON lines."""
    logging.captureWarnings(capture=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
