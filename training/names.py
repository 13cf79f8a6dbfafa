"""A table's source -> the dataset's name, which its model has too unless another is chosen; knows no tables."""

import re

from training.errors import TrainingError

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
RESERVED = frozenset({"docs", "healthz", "metrics", "readyz", "v2"})
"""What the server, which this room does not know, keeps for itself; a test of convert's holds both against its own."""


def name_dataset(asked: str | None, source: str) -> str:
    """Gives the name that is asked for, or makes one of a file's or table's: ``Iris`` -> ``iris``.

    Raises:
        TrainingError: If no model could be called so: better before any work than after it.
    """
    name = re.sub(r"[^a-z0-9_-]+", "_", source.lower()) if asked is None else asked
    if not NAME.fullmatch(name):
        raise TrainingError(f"expected a dataset's name that matches {NAME.pattern}, got {name!r}; --name chooses it")
    if name in RESERVED:
        raise TrainingError(f"the dataset's name {name!r} is one that the server uses itself; --name chooses another")
    return name
