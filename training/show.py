"""Runs -> what the log knows of them, as text for a person; it reads no files of theirs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pandas as pd

from training.runlog import SCORES, Run

_PARTS = ("parameters", "columns", "metrics")
_FLOAT = "{:.4f}".format
_PARAMETER = "parameter "
_ABREAST = 4
"""How many runs stand beside each other."""
_WIDTH_CHARS, _LEAST_CHARS, _MOST_CHARS = 120, 12, 40
"""How wide that many are, and their values; the least where what stands before them is long."""


def show(run: Run, gates: Sequence[Mapping[str, Any]]) -> str:
    """Tells all that is known of one run.

    Args:
        run: The run.
        gates: What the gates before publication found, by column, each time it was to be published.
    """
    facts = {name: value for name, value in attrs.asdict(run).items() if name not in _PARTS and value is not None}
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in facts.items()]
    lines.append(f"columns: {', '.join(f'{name} ({kind})' for name, kind in run.columns.items())}")
    lines.append(f"parameters: {json.dumps(run.parameters)}")
    if run.metrics is not None:
        lines += ["", *_tell_metrics(run.metrics)]
    if gates:
        lines += ["", pd.DataFrame(gates)[["checked_at", "name", "passed", "text"]].to_string(index=False)]
    return "\n".join(lines)


def _tell_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """Tells the numbers of each side in a column, and how each class of the held-out rows is answered."""
    numbers = {
        side: {name: value for name, value in of.items() if isinstance(value, float)} for side, of in metrics.items()
    }
    told = [pd.DataFrame(numbers).to_string(na_rep="", float_format=_FLOAT)]
    if "classes" in metrics["test"]:
        classes = pd.DataFrame(metrics["test"]["classes"])
        told += ["", classes.to_string(index=False, float_format=_FLOAT)]
        told.append(f"confusion (rows: true, columns: answered): {metrics['test']['confusion']}")
    return told


def compare(runs: Sequence[Run]) -> str:
    """Tells what sets runs apart, a column each, some abreast: their scores, and whatever is not the same for all."""
    table = pd.DataFrame({str(run.id): _comparable(run) for run in runs}).fillna("-")
    table = table.loc[_find_differing(table)]
    room = _WIDTH_CHARS - max(len(str(name)) for name in table.index)
    cell_chars = max(_LEAST_CHARS, min(_MOST_CHARS, room // min(len(runs), _ABREAST) - 2))
    table = table.map(lambda text: text if len(text) <= cell_chars else f"{text[: cell_chars - 3]}...")
    blocks = (table.iloc[:, first : first + _ABREAST] for first in range(0, len(table.columns), _ABREAST))
    return "\n\n".join(block.to_string() for block in blocks)


def _comparable(run: Run) -> dict[str, str]:
    scores = {f"score {side} ({SCORES[run.task]})": run.score(side) for side in ("train", "test")}
    names = ("model", "dataset", "target", "rows", "estimator", "seed", "test_share", "status")
    facts = {name: getattr(run, name) for name in names}
    facts |= {"dataset SHA-256": f"{run.dataset_sha256[:12]}...", "scikit-learn": run.scikit_learn}
    # Steps in a list are listed one by one beside it.
    plain = {name: str(value) for name, value in run.parameters.items() if not str(value).startswith("[('")}
    facts |= {f"{_PARAMETER}{name}": " ".join(text.split()) for name, text in plain.items()}
    numbers = {**scores, "seconds": run.duration_s}
    told = {name: "-" if number is None else _FLOAT(number) for name, number in numbers.items()}
    return told | {name: str(fact) for name, fact in facts.items()}


def _find_differing(table: pd.DataFrame) -> list[str]:
    """Finds the rows to show: of a part that is of one kind in all runs, what its own rows tell; else itself alone."""
    names = [str(name) for name in table.index]
    wholes = {name for name in names if any(other.startswith(f"{name}__") for other in names)}
    mixed = {name for name in wholes if len({text.partition("(")[0] for text in map(str, table.loc[name])}) > 1}
    hidden = {name for name in names if any(name.startswith(f"{part}__") for part in mixed)} | (wholes - mixed)
    shown = [name for name in names if name not in hidden and len(set(table.loc[name])) > 1]
    return [name for name in names if name.startswith("score") or name in {"model", *shown}]
