"""Runs of the log as text for people: one in full, or several side by side."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import pandas as pd

from training.runlog import SCORES, Run

_NESTED = ("parameters", "columns", "metrics")
"""Facts of a run that are shown in parts of their own."""
_FLOAT = "{:.4f}".format
_PARAMETER = "parameter "
_ABREAST = 4
"""The number of runs side by side."""
_WIDTH_CHARS, _LEAST_CHARS, _MOST_CHARS = 120, 12, 40
"""The width of a comparison, and of its values. The least holds where the names before them are long."""


def show(run: Run, gates: Sequence[Mapping[str, Any]]) -> str:
    """Return all that is known of one run.

    Args:
        run: The run.
        gates: What the gates before publication found, by column, each time it was to be published.
    """
    facts = {name: value for name, value in attrs.asdict(run).items() if name not in _NESTED and value is not None}
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in facts.items()]
    lines.append(f"columns: {', '.join(f'{name} ({kind})' for name, kind in run.columns.items())}")
    lines += ["parameters:", *_list_parameters(run.parameters)]
    if run.metrics is not None:
        lines += ["", *_list_metrics(run.metrics)]
    if gates:
        lines += ["", pd.DataFrame(gates)[["checked_at", "name", "passed", "text"]].to_string(index=False)]
    return "\n".join(lines)


def _list_parameters(parameters: Mapping[str, Any]) -> Iterator[str]:
    """List parameters, one a line; those of a step stand below it, indented."""
    texts = _plain_parameters(parameters)
    for name in sorted(texts, key=lambda name: name.split("__")):
        *steps, own = name.split("__")
        yield f"{'  ' * len(steps)}  {own}: {texts[name]}"


def _plain_parameters(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as text on one line, without lists of steps: each step is a parameter of its own beside it."""
    texts = {name: str(value) for name, value in parameters.items()}
    return {name: " ".join(text.split()) for name, text in texts.items() if not text.startswith("[('")}


def _list_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """List metrics, a column for each side, and those of each class on the held-out rows."""
    numbers = {
        side: {name: value for name, value in of.items() if isinstance(value, float)} for side, of in metrics.items()
    }
    lines = [pd.DataFrame(numbers).to_string(na_rep="", float_format=_FLOAT)]
    if "classes" in metrics["test"]:
        classes = pd.DataFrame(metrics["test"]["classes"])
        lines += ["", classes.to_string(index=False, float_format=_FLOAT)]
        lines.append(f"confusion matrix (rows: true, columns: predicted): {metrics['test']['confusion']}")
    return lines


def compare(runs: Sequence[Run]) -> str:
    """Return what differs between runs, a column each, some side by side: scores always, other facts if they differ."""
    table = pd.DataFrame({str(run.id): _list_comparable(run) for run in runs}).fillna("-")
    table = table.loc[_find_differing(table)]
    room = _WIDTH_CHARS - max(len(str(name)) for name in table.index)
    cell_chars = max(_LEAST_CHARS, min(_MOST_CHARS, room // min(len(runs), _ABREAST) - 2))
    table = table.map(lambda text: text if len(text) <= cell_chars else f"{text[: cell_chars - 3]}...")
    blocks = (table.iloc[:, first : first + _ABREAST] for first in range(0, len(table.columns), _ABREAST))
    return "\n\n".join(block.to_string() for block in blocks)


def _list_comparable(run: Run) -> dict[str, str]:
    """Return what a comparison looks at, as text by name."""
    scores = {f"score {side} ({SCORES[run.task]})": run.score(side) for side in ("train", "test")}
    numbers = {**scores, "seconds": run.duration_s}
    names = ("model", "dataset", "target", "rows", "estimator", "seed", "test_share", "status")
    return {
        **{name: "-" if number is None else _FLOAT(number) for name, number in numbers.items()},
        **{name: str(getattr(run, name)) for name in names},
        "dataset SHA-256": f"{run.dataset_sha256[:12]}...",
        "scikit-learn": run.scikit_learn,
        **{f"{_PARAMETER}{name}": text for name, text in _plain_parameters(run.parameters).items()},
    }


def _find_differing(table: pd.DataFrame) -> list[str]:
    """Return the rows to show: the model, the scores, and whatever is not the same for all.

    A step of one kind in all runs is shown by its own parameters; of different kinds, as a whole.
    """
    names = [str(name) for name in table.index]
    steps = {name for name in names if any(other.startswith(f"{name}__") for other in names)}
    mixed = {name for name in steps if len({text.partition("(")[0] for text in map(str, table.loc[name])}) > 1}
    hidden = {name for name in names if any(name.startswith(f"{step}__") for step in mixed)} | (steps - mixed)
    differing = [name for name in names if name not in hidden and len(set(table.loc[name])) > 1]
    return [name for name in names if name.startswith("score") or name in {"model", *differing}]
