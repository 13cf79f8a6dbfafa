"""Valid model names. A name is the first path segment of the model's routes, and its folder in the repository."""

import re

MODEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
RESERVED_NAMES = frozenset({"docs", "healthz", "metrics", "readyz", "ui", "v2"})
"""First path segments of the server's own routes, present or planned."""


def name_fault(name: str) -> str | None:
    """Return what is wrong with a model name, or None if it is valid."""
    if not MODEL_NAME.fullmatch(name):
        return f"expected a model name that matches {MODEL_NAME.pattern}, got {name!r}"
    if name in RESERVED_NAMES:
        return f"the name {name!r} is one that the server uses itself; reserved are {', '.join(sorted(RESERVED_NAMES))}"
    return None
