"""The decision boundary of a branch on a derived column is found to the last bit, by rows that visit the branch."""

from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier

from convert.compile.features import describe_features
from convert.parity.bisection import LINES_AT_ONCE, bisect_branches
from convert.parity.branches import Branches, visited_branches
from convert.parity.model_inputs import ModelInput, model_inputs
from tests.support.tables import make_specimen, make_table, mixed_table
from training.dataset import Dataset

TREE = DecisionTreeClassifier(max_leaf_nodes=12, random_state=0)
SCALERS = {"standard": StandardScaler(), "largest": MaxAbsScaler(), "ends": MinMaxScaler((-3, 8))}


@pytest.fixture(scope="module")
def numbers() -> Dataset:
    random = np.random.default_rng(2)
    values = random.normal(size=(400, 3)) * [1, 1e6, 1e-6] + [0, 1e3, 1]
    target = (values[:, 0] > 0) ^ (values[:, 1] > 1e5) ^ (values[:, 2] > 1)
    return make_table(pd.DataFrame(values, columns=["a", "b", "c"]), np.where(target, "yes", "no"))


def lay_out(estimator: Any, dataset: Dataset) -> tuple[ModelInput, Branches]:
    estimator.fit(dataset.features, dataset.target)
    (given,) = model_inputs(estimator, dataset.features)
    return given, visited_branches(given.model, given.prepare(dataset.features))


def bisect_all(estimator: Any, dataset: Dataset, lines_at_once: int = LINES_AT_ONCE) -> pd.DataFrame:
    given, branches = lay_out(estimator, dataset)
    return bisect_branches(given, branches, dataset.features, describe_features(dataset), lines_at_once)


@pytest.mark.parametrize("scaler", SCALERS)
def test_every_branch_behind_a_scaler_is_bisected_by_rows_that_visit_it(numbers: Dataset, scaler: str) -> None:
    estimator = make_pipeline(SCALERS[scaler], TREE)
    given, branches = lay_out(estimator, numbers)
    rows = bisect_branches(given, branches, numbers.features, describe_features(numbers))
    count = len(branches.column)
    assert (len(rows), count) == (2 * count, TREE.max_leaf_nodes - 1)
    before, after = rows.iloc[:count], rows.iloc[count:]
    sizes = numbers.features.abs().max().to_numpy()
    # One ulp of the value, or of the position on the line.
    assert (np.abs(before.to_numpy() - after.to_numpy()) <= sizes * 2.0**-51).all()
    # Both rows visit the branch, and go to different children.
    paths = [estimator[-1].decision_path(given.prepare(half)).toarray() for half in (before, after)]
    nodes = np.flatnonzero(estimator[-1].tree_.feature >= 0)
    for at, node in enumerate(nodes.tolist()):
        assert [bool(path[at, node]) for path in paths] == [True, True]
        left = estimator[-1].tree_.children_left[node]
        assert paths[0][at, left] != paths[1][at, left]


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=3)),
        make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=8)),
        make_pipeline(PolynomialFeatures(2, include_bias=False), TREE),
    ],
    ids=["boosting", "histogram", "products"],
)
def test_the_rows_lie_on_either_side_in_the_precision_in_which_trees_compare(numbers: Dataset, estimator: Any) -> None:
    given, branches = lay_out(estimator, numbers)
    for at in range(len(branches.column)):
        one = branches.select(np.array([at]))
        rows = bisect_branches(given, one, numbers.features, describe_features(numbers))
        sides = [one.evaluate(given.prepare(rows.iloc[[row]])).tolist() for row in (0, 1)]
        assert sorted(sides) == [[False], [True]]


def test_integers_booleans_and_categories_keep_their_type() -> None:
    table = mixed_table(rows=200)
    numbers = [column.name for column in table.columns[:-1] if column.kind != "category"]
    parts = [
        ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["kind", "numbers"]),
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
    ]
    rows = bisect_all(make_pipeline(ColumnTransformer(parts), TREE), table)
    known = table.features
    assert len(rows) > 8
    for name in ("kind", "numbers"):
        assert set(rows[name]) <= set(known[name])
    for name in ("count", "steps"):
        assert (rows[name].dropna() == rows[name].dropna().round()).all()
    for name in ("is new", "is open"):
        assert set(rows[name].dropna()) <= {0.0, 1.0}
    assert rows[list(known.columns)].dtypes.equals(known.dtypes)


def test_a_feature_may_be_called_as_an_argument_is() -> None:
    random = np.random.default_rng(1)
    table = make_table(pd.DataFrame(random.normal(size=(40, 2)), columns=["self", "axis"]), ["no", "yes"] * 20)
    assert len(bisect_all(make_pipeline(StandardScaler(), TREE), table)) > 4
    assert make_specimen(table, "decision_tree").prove().passed


def test_a_branch_on_a_category_is_not_bisected() -> None:
    table = make_table(pd.DataFrame({"word": ["x", "y"] * 10}), ["no", "yes"] * 10)
    assert len(bisect_all(make_pipeline(OneHotEncoder(sparse_output=False), TREE), table)) == 0


def test_a_branch_that_all_rows_leave_the_same_way_is_not_bisected(numbers: Dataset) -> None:
    given, branches = lay_out(make_pipeline(StandardScaler(), TREE), numbers)
    one_sided = visited_branches(given.model, given.prepare(numbers.features.iloc[:1]))
    assert set(one_sided.opposite.tolist()) == {-1}
    assert len(bisect_branches(given, one_sided, numbers.features, describe_features(numbers))) == 0
    assert (branches.opposite >= 0).all()


def test_many_branches_are_bisected_a_part_at_a_time(numbers: Dataset) -> None:
    whole = bisect_all(make_pipeline(StandardScaler(), TREE), numbers)
    parts = bisect_all(make_pipeline(StandardScaler(), TREE), numbers, lines_at_once=4)
    by = list(whole.columns)
    pd.testing.assert_frame_equal(
        whole.sort_values(by, ignore_index=True), parts.sort_values(by, ignore_index=True), check_exact=True
    )


BEHIND = {
    "scaled": make_pipeline(MaxAbsScaler(), TREE),
    "a forest": make_pipeline(StandardScaler(), RandomForestClassifier(5, max_depth=4, random_state=0)),
    "boosted": make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=5, random_state=0)),
    "a vote": VotingClassifier(
        [("scaled", make_pipeline(StandardScaler(), TREE)), ("not", TREE)], voting="soft", flatten_transform=False
    ),
    "splines": make_pipeline(SplineTransformer(extrapolation="linear"), TREE),
    "searched for": GridSearchCV(
        make_pipeline(StandardScaler(), TREE), {"decisiontreeclassifier__max_depth": [4]}, cv=2
    ),
    "calibrated": make_pipeline(StandardScaler(), CalibratedClassifierCV(TREE, cv=2)),
    "bagged": Pipeline(
        [("scale", StandardScaler()), ("bag", BaggingClassifier(clone(TREE), 3, max_features=0.7, random_state=0))]
    ),
}


@pytest.mark.parametrize("name", BEHIND)
def test_a_float32_model_of_trees_behind_a_scaler_fails_and_a_float64_one_passes(numbers: Dataset, name: str) -> None:
    """Only these probes have values between two adjacent float32 numbers."""
    single = make_specimen(numbers, BEHIND[name], "float32")
    certificate = single.prove()
    at_thresholds = {one.kind: one.mismatches for one in certificate.compared}["at thresholds"]
    assert at_thresholds > 0
    assert make_specimen(numbers, BEHIND[name], "float64").prove().passed


def test_boosted_or_bagged_trees_on_plain_features_are_probed_at_their_thresholds(
    numbers: Dataset,
) -> None:
    for estimator in (
        AdaBoostClassifier(n_estimators=4, random_state=0),
        BaggingClassifier(clone(TREE), 3, random_state=0),
        CalibratedClassifierCV(ExtraTreesClassifier(3, max_depth=4), cv=2),
    ):
        specimen = make_specimen(numbers, estimator, "float32")
        compared = {one.kind: one for one in specimen.prove().compared}
        assert compared["at thresholds"].rows >= 10
        assert compared["at thresholds"].mismatches == 0


@pytest.mark.parametrize("model", [TREE, GradientBoostingClassifier(n_estimators=3)], ids=["tree", "boosting"])
@pytest.mark.parametrize("scaled", [False, True])
def test_infinite_values_are_masked_behind_a_step_and_not_for_plain_requests(
    numbers: Dataset, model: Any, *, scaled: bool
) -> None:
    specimen = make_specimen(numbers, make_pipeline(StandardScaler(), model) if scaled else model, "float64")
    kinds = [node.op_type for node in onnx.load_from_string(specimen.compiled.model).graph.node]
    assert ("IsInf" in kinds) is scaled
