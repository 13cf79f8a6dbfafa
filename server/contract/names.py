"""Names that a model may have: a name is the first segment of its routes, and a folder of the model repository."""

import re

MODEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
RESERVED_NAMES = frozenset({"docs", "healthz", "metrics", "readyz", "ui", "v2"})
"""First path segments that the server uses, or will use, itself."""


def name_fault(name: str) -> str | None:
    """Return what is wrong with a model's name, or None where it can be a route."""
    if not MODEL_NAME.fullmatch(name):
        return f"expected a model name that matches {MODEL_NAME.pattern}, got {name!r}"
    if name in RESERVED_NAMES:
        return f"the name {name!r} is one that the server uses itself; reserved are {', '.join(sorted(RESERVED_NAMES))}"
    return None
