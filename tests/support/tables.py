"""Small datasets with every type of column, made in memory, and parity proofs of estimators fitted to them."""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from convert.compile.export import Compiled, Precision, export
from convert.compile.features import describe_features
from convert.parity.probes import Probes, make_probes
from convert.parity.proof import Certificate, prove
from server.contract.types import Type
from training.columns import Column
from training.dataset import Dataset, Task
from training.estimators import Estimator, choose_estimator, seed_estimator

WORDS = ["rot", "grün", 'blue, "light"', "0"]
FEW_ROWS = 50
"""Number of rows drawn in the training range; a proof of a run draws 20,000."""
TARGETS: dict[str, Type] = {"f": "number", "i": "integer", "b": "boolean", "O": "category"}


def make_table(features: pd.DataFrame, target: Any, kinds: Mapping[str, Type] | None = None) -> Dataset:
    """Make a dataset; `kinds` has the types of columns that are not numbers, or categories if they have text."""
    # Text has dtype object, as in a real dataset.
    given = pd.DataFrame({str(name): _as_read(values) for name, values in features.items()})
    answers = _as_read(pd.Series(target, index=features.index, name="target"))
    columns = [_describe(values, (kinds or {}).get(str(name))) for name, values in given.items()]
    kind = TARGETS[answers.dtype.kind]
    task: Task = "regression" if kind == "number" else "classification"
    return Dataset("table", given, answers, (*columns, Column("target", kind, 0)), task)


def _as_read(values: pd.Series) -> pd.Series:
    return values if is_numeric_dtype(values) else values.astype(object)


def _describe(values: pd.Series, kind: Type | None) -> Column:
    is_text = values.dtype == object
    missing = (values == "") if is_text else values.isna()
    return Column(str(values.name), kind or ("category" if is_text else "number"), int(missing.sum()))


def mixed_table(labels: Any = ("no", "yes"), rows: int = 60) -> Dataset:
    """Make a table of numbers, integers, booleans and categories, with some values of each missing.

    Args:
        labels: The classes of the target; None for a target of numbers.
        rows: Number of rows.
    """
    random = np.random.default_rng(11)
    number, whole = random.normal(size=(2, rows)), random.integers(-3, 30, rows).astype(np.float64)
    truth, word = random.integers(0, 2, rows).astype(np.float64), random.choice(WORDS, rows).astype(object)
    features = pd.DataFrame(
        {
            "size (cm)": number[0],
            "weight": np.where(random.random(rows) < 0.2, np.nan, number[1]),
            "kind": word,
            "count": np.where(random.random(rows) < 0.2, np.nan, whole),
            "steps": whole[::-1],
            "is new": truth,
            "is open": np.where(random.random(rows) < 0.2, np.nan, truth[::-1]),
            "numbers": np.where(random.random(rows) < 0.2, "", word[::-1]).astype(object),
        }
    )
    score = number[0] + np.nan_to_num(number[1]) + (word == "rot") + truth + whole / 10
    kinds: dict[str, Type] = {"count": "integer", "steps": "integer", "is new": "boolean", "is open": "boolean"}
    if labels is None:
        return make_table(features, score, kinds)
    ranks = np.digitize(score, np.quantile(score, np.linspace(0, 1, len(labels) + 1)[1:-1]))
    dtype = object if isinstance(labels[0], str) else None
    return make_table(features, np.array(labels, dtype=dtype)[ranks], kinds)


@attrs.frozen(eq=False)
class Specimen:
    """A table, an estimator fitted to it, its compiled model, and the probes of its proof."""

    dataset: Dataset
    estimator: Estimator
    compiled: Compiled
    probes: tuple[Probes, ...]

    def prove(self, model: bytes | None = None) -> Certificate:
        """Prove the compiled model, or the given ONNX bytes instead of it."""
        compiled = attrs.evolve(self.compiled, model=model or self.compiled.model)
        return prove(self.estimator, compiled, self.probes).certificate


def make_specimen(
    dataset: Dataset, estimator: Estimator, precision: Precision = "float32", generated_rows: int = FEW_ROWS
) -> Specimen:
    """Fit an estimator, given itself or by name, and compile it; `generated_rows` probes are in the training range."""
    if isinstance(estimator, str):
        estimator = choose_estimator(estimator, dataset.task, dataset.columns[:-1]).estimator
    seed_estimator(estimator, 0)
    estimator.fit(dataset.features, dataset.target)
    compiled = export(estimator, describe_features(dataset), precision)
    return Specimen(dataset, estimator, compiled, probes_of(estimator, dataset, generated_rows))


def probes_of(estimator: Estimator, dataset: Dataset, generated_rows: int = FEW_ROWS) -> tuple[Probes, ...]:
    """Make the probes of an estimator that was fitted to a dataset."""
    return make_probes(estimator, dataset.features, describe_features(dataset), generated_rows=generated_rows)
