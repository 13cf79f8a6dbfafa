"""Names of datasets. A model has its dataset's name, unless convert is given another."""

import re

from server.contract.names import name_fault
from training.errors import TrainingError


def name_dataset(asked: str | None, source: str) -> str:
    """Return the name that is asked for, or one made from a file's or table's: ``Iris`` becomes ``iris``.

    Raises:
        TrainingError: If no model may have this name. It is refused before any work, and not at publication.
    """
    name = re.sub(r"[^a-z0-9_-]+", "_", source.lower()) if asked is None else asked
    if fault := name_fault(name):
        raise TrainingError(f"{fault}; --name chooses another")
    return name
