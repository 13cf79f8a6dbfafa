"""One wrong number anywhere in a compiled tree fails the certificate, whatever steps are before the tree."""

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from convert.compile.export import Precision
from tests.support.tables import Specimen, make_specimen, make_table, mixed_table
from training.dataset import Dataset
from training.estimators import choose_estimator

NUMBERS = ("size (cm)", "weight")
SMALL = {"max_leaf_nodes": 4}


def numbers_alone() -> Dataset:
    known = mixed_table()
    return make_table(known.features[[*NUMBERS]], known.target)


def weight_and_words() -> Dataset:
    known = mixed_table()
    return make_table(known.features[["weight", "kind", "is open"]], known.target, {"is open": "boolean"})


def numbers_without_missing() -> Dataset:
    known = mixed_table()
    return make_table(known.features[["size (cm)"]], known.target)


@attrs.frozen
class Pipeline:
    """A named estimator of trees on a table, with few nodes.

    Attributes:
        name: The estimator.
        make: Makes the table.
        options: What makes it small.
        precision: The type of the compiled model's numeric inputs.
        steps: The steps before it.
        sees_missing: Whether its trees see missing values.
    """

    name: str
    make: Callable[[], Dataset]
    options: dict[str, Any]
    precision: Precision
    steps: tuple[str, ...]
    sees_missing: bool


# One branch a tree: what is missing comes by each.
FEW_STEPS = {"max_iter": 4, "max_depth": 1, "min_samples_leaf": 5}
BOOSTED = {"n_estimators": 2, "max_depth": 2}
PIPELINES = {
    "alone": Pipeline("decision_tree", numbers_alone, SMALL, "float32", (), sees_missing=True),
    "forest": Pipeline("random_forest", numbers_alone, {**SMALL, "n_estimators": 2}, "float32", (), sees_missing=True),
    "categories": Pipeline(
        "extra_trees", mixed_table, {"max_leaf_nodes": 6, "n_estimators": 3}, "float32", ("columns",), sees_missing=True
    ),
    "float64": Pipeline(
        "hist_gradient_boosting", weight_and_words, FEW_STEPS, "float64", ("columns",), sees_missing=True
    ),
    "filled": Pipeline("gradient_boosting", numbers_alone, BOOSTED, "float32", ("fill",), sees_missing=False),
    "filled categories": Pipeline(
        "gradient_boosting", mixed_table, BOOSTED, "float32", ("columns",), sees_missing=False
    ),
    "nothing missing": Pipeline(
        "gradient_boosting", numbers_without_missing, BOOSTED, "float32", (), sees_missing=False
    ),
}


@attrs.frozen(eq=False)
class Bench:
    """A specimen whose compiled model can be tampered with."""

    specimen: Specimen
    model: onnx.ModelProto
    columns: list[str]

    def attribute(self, name: str) -> onnx.AttributeProto:
        (trees,) = (node for node in self.model.graph.node if node.op_type == "TreeEnsembleRegressor")
        found: onnx.AttributeProto
        (found,) = (attribute for attribute in trees.attribute if attribute.name == name)
        return found

    def branches_on(self, *names: str) -> Iterator[int]:
        """Returns the branches that test one of these features."""
        asked = self.attribute("nodes_featureids").ints
        for at, mode in enumerate(self.attribute("nodes_modes").strings):
            if mode != b"LEAF" and self.columns[asked[at]] in names:
                yield at

    def fails(self) -> bool:
        return not self.specimen.prove(self.model.SerializeToString()).parity.passed


@pytest.fixture(autouse=True, scope="module")
def _few_probes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("probes.ROWS_PER_CHANGE", "proof.BATCH_INVARIANCE_ROWS", "proof.RECHECKED_ROWS"):
            patch.setattr(f"convert.parity.{name}", 1)
        yield


@pytest.fixture(params=sorted(PIPELINES), scope="module")
def specimen(request: pytest.FixtureRequest) -> Specimen:
    of = PIPELINES[request.param]
    dataset = of.make()
    estimator = choose_estimator(of.name, dataset.task, dataset.columns[:-1]).estimator
    estimator.set_params(**{f"model__{name}" if of.steps else name: value for name, value in of.options.items()})
    specimen = make_specimen(dataset, estimator, of.precision, generated_rows=10)
    assert tuple(getattr(estimator, "named_steps", {}))[:-1] == of.steps
    return specimen


@pytest.fixture
def bench(specimen: Specimen) -> Bench:
    """The compiled model read anew: a test alters it."""
    estimator, dataset = specimen.estimator, specimen.dataset
    columns = [str(name) for name in dataset.features.columns]
    if hasattr(estimator, "named_steps"):
        columns = [name.split("__")[-1] for name in estimator[:-1].get_feature_names_out()]
    return Bench(specimen, onnx.load_from_string(specimen.compiled.model), columns)


def test_an_honest_model_is_proven(bench: Bench) -> None:
    assert not bench.fails()


@pytest.mark.parametrize("way", [-np.inf, np.inf])
def test_a_threshold_moved_by_one_float_is_caught(bench: Bench, way: float) -> None:
    thresholds = bench.attribute("nodes_values_as_tensor").t
    honest = numpy_helper.to_array(thresholds)
    asked = [at for at in bench.branches_on(*NUMBERS) if np.isfinite(honest[at])]
    assert asked
    for at in asked:
        moved = honest.copy()
        moved[at] = np.nextafter(moved[at], moved.dtype.type(way))
        thresholds.CopyFrom(numpy_helper.from_array(moved))
        assert bench.fails(), at


@pytest.mark.parametrize("specimen", [name for name, of in PIPELINES.items() if of.sees_missing], indirect=True)
def test_a_flipped_direction_of_nan_is_caught(bench: Bench) -> None:
    ways = bench.attribute("nodes_missing_value_tracks_true").ints
    asked = [*bench.branches_on("weight", "count", "is open")]
    assert asked
    for at in asked:
        ways[at] = 1 - ways[at]
        assert bench.fails(), at
        ways[at] = 1 - ways[at]


def test_a_leaf_that_is_off_by_a_ten_thousandth_is_caught(bench: Bench) -> None:
    constants = {constant.name: constant for constant in bench.model.graph.initializer}
    lookups = (node.input[0] for node in bench.model.graph.node if node.op_type == "Gather")
    # The other table is of the labels.
    (table,) = (constants[name] for name in lookups if name in constants and len(constants[name].dims) == 2)
    honest = numpy_helper.to_array(table)
    assert len(honest) > 2
    for at in range(len(honest)):
        off = honest.copy()
        # Of a booster it is a raw score, of which a probability moves by a quarter at most.
        off[at, -1] += 1e-4
        table.CopyFrom(numpy_helper.from_array(off, table.name))
        assert bench.fails(), at
