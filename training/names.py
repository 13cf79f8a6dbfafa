"""A table's source -> the dataset's name, which its model has too unless another is chosen; knows no tables."""

import re

from server.contract.names import name_fault
from training.errors import TrainingError


def name_dataset(asked: str | None, source: str) -> str:
    """Gives the name that is asked for, or makes one of a file's or table's: ``Iris`` -> ``iris``.

    Raises:
        TrainingError: If no model could be called so: better before any work than after it.
    """
    name = re.sub(r"[^a-z0-9_-]+", "_", source.lower()) if asked is None else asked
    if fault := name_fault(name):
        raise TrainingError(f"{fault}; --name chooses another")
    return name
