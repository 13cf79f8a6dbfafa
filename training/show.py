"""Runs -> what the log knows of them, as text for a person; it reads no files of theirs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pandas as pd

from training.runlog import SCORES, Run

_PARTS = ("parameters", "columns", "metrics")
_FLOAT = "{:.4f}".format


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
    """Tells what sets runs apart, a column each: their scores, and whatever is not the same for all."""
    facts = {run.model: _comparable(run) for run in runs}
    table = pd.DataFrame(facts)
    rows = [row for row in table.index if row.startswith("score") or len(set(table.loc[row].astype(str))) > 1]
    return str(table.loc[rows].to_string(na_rep="-", float_format=_FLOAT))


def _comparable(run: Run) -> dict[str, object]:
    scores = {f"score {side} ({SCORES[run.task]})": run.score(side) for side in ("train", "test")}
    facts = {
        name: getattr(run, name) for name in ("dataset", "target", "rows", "estimator", "seed", "test_share", "status")
    }
    facts |= {
        "dataset SHA-256": f"{run.dataset_sha256[:12]}...",
        "scikit-learn": run.scikit_learn,
        "seconds": run.duration_s,
    }
    return scores | facts | {f"parameter {name}": value for name, value in run.parameters.items()}
