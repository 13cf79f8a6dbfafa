"""A model with one wrong number in a tree differs from the estimator on some row at the tree's thresholds."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier

from tests.convert.converters.specimens import Specimen, ask, compile_model, rows_at_thresholds

ESTIMATORS = {
    "forest": RandomForestClassifier(4, max_depth=3, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=4, max_depth=2, random_state=0),
    # So low that no branch is below another that asks the same feature and sends its NaN the other way.
    "histogram": HistGradientBoostingClassifier(max_iter=4, max_depth=2, random_state=0),
}
SEEN = 1e-6
"""More than the rounding of a probability in float32."""
PRECISIONS = {"forest": np.float32, "boosting": np.float32, "histogram": np.float64}


@attrs.frozen(eq=False)
class Bench:
    """A compiled specimen that can be tampered with, and the rows that a proof would probe.

    Attributes:
        model: What was compiled, parsed.
        rows: Known rows and those at thresholds, in the model's precision.
        probabilities: What the estimator answers to them.
    """

    model: onnx.ModelProto
    rows: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64]

    def attribute(self, name: str) -> onnx.AttributeProto:
        """Returns an attribute of the trees' node, to read or to change."""
        (trees,) = (node for node in self.model.graph.node if node.op_type == "TreeEnsembleRegressor")
        found: onnx.AttributeProto
        (found,) = (attribute for attribute in trees.attribute if attribute.name == name)
        return found

    def branches(self) -> list[int]:
        return [at for at, mode in enumerate(self.attribute("nodes_modes").strings) if mode != b"LEAF"]

    def difference(self) -> float:
        answered = ask(self.model.SerializeToString(), self.rows, 1024)[1]
        return float(np.abs(answered - self.probabilities).max())


@pytest.fixture(params=sorted(ESTIMATORS))
def bench(request: pytest.FixtureRequest) -> Bench:
    known, target = load_breast_cancer(return_X_y=True)
    precision: Any = PRECISIONS[request.param]
    if request.param != "boosting":
        known[np.random.default_rng(2).random(known.shape) < 0.2] = np.nan
    estimator = ESTIMATORS[request.param].fit(known, target)
    rows = np.vstack([known, rows_at_thresholds(estimator, known)]).astype(precision)
    model = onnx.load_from_string(compile_model(estimator, precision))
    return Bench(model, rows, Specimen(estimator, known).answers(rows)[1])


def test_an_honest_model_differs_by_rounding_alone(bench: Bench) -> None:
    assert bench.difference() < SEEN / 10


@pytest.mark.parametrize("way", [-np.inf, np.inf])
def test_a_threshold_moved_by_one_float_is_seen(bench: Bench, way: float) -> None:
    thresholds = bench.attribute("nodes_values_as_tensor").t
    honest = numpy_helper.to_array(thresholds)
    for at in bench.branches():
        moved = honest.copy()
        moved[at] = np.nextafter(moved[at], way)
        thresholds.CopyFrom(numpy_helper.from_array(moved))
        assert bench.difference() > SEEN, at


@pytest.mark.parametrize("bench", ["forest", "histogram"], indirect=True)
def test_a_flipped_direction_of_nan_is_seen(bench: Bench) -> None:
    ways = bench.attribute("nodes_missing_value_tracks_true").ints
    for at in bench.branches():
        ways[at] = 1 - ways[at]
        assert bench.difference() > SEEN, at
        ways[at] = 1 - ways[at]


def test_a_leaf_that_is_off_by_a_ten_thousandth_is_seen(bench: Bench) -> None:
    lookup = next(node for node in bench.model.graph.node if node.op_type == "Gather")
    table = next(constant for constant in bench.model.graph.initializer if constant.name == lookup.input[0])
    honest = numpy_helper.to_array(table)
    for at in range(len(honest)):
        off = honest.copy()
        off[at, -1] += 1e-4
        table.CopyFrom(numpy_helper.from_array(off, table.name))
        assert bench.difference() > SEEN, at
