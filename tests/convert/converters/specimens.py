"""Small fitted estimators of every family, their tables, and the rows on which they and their models are compared."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import attrs
import numpy as np
import numpy.typing as npt
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from convert.converters.register import register_converters
from convert.parity.branches import adjacent_floats, visited_branches

Table = npt.NDArray[np.float64]
UNIFORM_ROWS = 20_000
BATCHES = ((1, 1, 300), (7, 2, 2_000), (32, 1, 4_000), (1024, 2, None))
"""Rows in a batch, threads, and how many of the rows are evaluated so."""
TYPES = {np.float32: FloatTensorType, np.float64: DoubleTensorType}
TABLES: dict[str, Callable[..., Any]] = {
    "two classes": load_breast_cancer,
    "three classes": load_wine,
    "regression": load_diabetes,
}
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "tree": lambda: DecisionTreeClassifier(min_samples_leaf=3, random_state=0),
    "extra tree": lambda: ExtraTreeClassifier(min_samples_leaf=3, random_state=0),
    "forest": lambda: RandomForestClassifier(10, min_samples_leaf=3, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(10, min_samples_leaf=3, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=10, random_state=0),
    "exponential": lambda: GradientBoostingClassifier(n_estimators=10, loss="exponential", random_state=0),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=10, random_state=0),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "tree": lambda: DecisionTreeRegressor(max_leaf_nodes=40, random_state=0),
    "extra tree": lambda: ExtraTreeRegressor(max_leaf_nodes=40, random_state=0),
    "forest": lambda: RandomForestRegressor(10, max_leaf_nodes=40, random_state=0),
    "extra trees": lambda: ExtraTreesRegressor(10, max_leaf_nodes=40, random_state=0),
    "boosting": lambda: GradientBoostingRegressor(n_estimators=10, random_state=0),
    "histogram": lambda: HistGradientBoostingRegressor(max_iter=10, random_state=0),
    "histogram of counts": lambda: HistGradientBoostingRegressor(max_iter=10, loss="poisson", random_state=0),
}
NO_MISSING = ("boosting", "exponential")


class Of(NamedTuple):
    """The parameters of a specimen: a family, a table, and whether a fifth of the table is missing."""

    family: str
    table: str
    missing: bool

    def __str__(self) -> str:
        return f"{self.family}, {self.table}{', missing' if self.missing else ''}"


FAMILIES = [
    Of(family, table, missing)
    for table in TABLES
    for family in (REGRESSORS if table == "regression" else CLASSIFIERS)
    if (family, table) != ("exponential", "three classes")
    for missing in ((False,) if family in NO_MISSING else (False, True))
]
"""Each family with each table that it is for, without and with missing values."""


@attrs.frozen(eq=False)
class Specimen:
    """A fitted estimator and the rows it was fitted on."""

    estimator: Any
    known: Table

    def answers(self, rows: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Table]:
        """Returns the estimator's labels and probabilities, or its predictions twice, as the model's outputs."""
        with np.errstate(invalid="ignore"):  # scikit-learn adds up extreme rows to see whether they are finite
            labels = self.estimator.predict(rows)
            if hasattr(self.estimator, "classes_"):
                return labels, self.estimator.predict_proba(rows)
            return labels, labels[:, np.newaxis]

    def rows(self, uniform: int) -> Table:
        """Returns rows of the table, at each threshold, uniform in the table's range, and extreme."""
        random = np.random.default_rng(5)
        nullable = np.isnan(self.known).any(axis=0)
        spread = random.uniform(np.nanmin(self.known, 0), np.nanmax(self.known, 0), (uniform, self.known.shape[1]))
        spread[(random.random(spread.shape) < 0.2) & nullable] = np.nan
        extreme = np.repeat(self.known[:8], 4, axis=0)
        put = random.choice([-3e38, -1e30, 1e30, 3e38], extreme.shape)
        extreme = np.where(random.random(extreme.shape) < 0.5, put, extreme)
        return np.vstack([self.known, rows_at_thresholds(self.estimator, self.known), spread, extreme])


def rows_at_thresholds(estimator: Any, known: Table) -> Table:
    """Returns a visitor of each branch at and next to its threshold, and with a missing value if the table has some."""
    branches = visited_branches(estimator, known)
    nullable = np.isnan(known[:, branches.column]).any(axis=0)
    rows = [known[:0]]
    for values in adjacent_floats(branches.threshold).T:
        rows.append(known[branches.visitor])
        rows[-1][np.arange(len(values)), branches.column] = values
    rows.append(known[branches.visitor[nullable]])
    rows[-1][np.arange(nullable.sum()), branches.column[nullable]] = np.nan
    return np.vstack(rows)


@cache
def fit(of: Of) -> Specimen:
    """Fits a family to a table."""
    known, target = TABLES[of.table](return_X_y=True)
    if of.missing:
        known[np.random.default_rng(4).random(known.shape) < 0.2] = np.nan
    make = (REGRESSORS if of.table == "regression" else CLASSIFIERS)[of.family]
    return Specimen(make().fit(known, target), known)


def compile_model(estimator: Any, precision: Any, **options: Any) -> bytes:
    """Compiles an estimator for input of a precision."""
    register_converters()
    inputs = [("features", TYPES[precision]([None, estimator.n_features_in_]))]
    given = {"zipmap": False, **options} if hasattr(estimator, "classes_") else None
    model: bytes = to_onnx(estimator, initial_types=inputs, options=given).SerializeToString()
    return model


def ask(model: bytes, rows: npt.NDArray[Any], batch_rows: int, threads: int = 1) -> list[npt.NDArray[Any]]:
    """Returns each output of a model for all rows, evaluated in batches of one size."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    batches = [
        session.run(None, {"features": rows[start : start + batch_rows]}) for start in range(0, len(rows), batch_rows)
    ]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def hold_against(specimen: Specimen, precision: Any, *, exact: bool) -> None:
    """Evaluates estimator and model on the same rows, shuffled, and compares labels and numbers."""
    rows = specimen.rows(UNIFORM_ROWS).astype(precision)
    np.random.default_rng(6).shuffle(rows)
    model, step = compile_model(specimen.estimator, precision), np.finfo(precision).eps
    labels, numbers = specimen.answers(rows)
    for batch_rows, threads, count in BATCHES:
        *given, answered = ask(model, rows[:count], batch_rows, threads)
        assert answered.dtype == precision
        assert [labels[:count].tolist()] * len(given) == [each.tolist() for each in given]
        if exact:
            np.testing.assert_array_equal(answered, numbers[:count].astype(precision))
        else:
            np.testing.assert_allclose(answered, numbers[:count], rtol=2 * step, atol=step)
