"""The input of a model behind other steps is found, with the feature that each column holds unchanged."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    RandomTreesEmbedding,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectFromModel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from convert.errors import ConvertError
from convert.parity.model_inputs import model_inputs
from tests.support.tables import make_table
from training.dataset import Dataset
from training.estimators import choose_estimator

NUMBERS = make_table(pd.DataFrame({"a": [1.0, np.nan, 3.0, 8.0], "b": [5.0, 6.0, 7.0, 8.0]}), [0, 1, 1, 0])
WORDS = make_table(NUMBERS.features.assign(c=["x", "", "y", "x"], d=["7", "8", "8", "7"]), [0, 1, 1, 0])
TREE = DecisionTreeClassifier(random_state=0)
Columns = tuple[str | None, ...]


def columns_of(steps: Any, dataset: Dataset = NUMBERS) -> Columns:
    """Fits a tree behind steps, checks its prepared input against its answers, and returns the features."""
    estimator = steps if isinstance(steps, Pipeline) else make_pipeline(*steps, TREE)
    estimator.fit(dataset.features, dataset.target)
    (given,) = model_inputs(estimator, dataset.features)
    model, values = given.model, given.prepare(dataset.features)
    assert model is estimator[-1]
    assert values.dtype == np.float64
    assert values.shape == (4, len(given.features))
    named = pd.DataFrame(values, columns=model.feature_names_in_) if hasattr(model, "feature_names_in_") else values
    assert model.predict(named).tolist() == estimator.predict(dataset.features).tolist()
    for column, name in zip(values.T, given.features, strict=True):
        known = column if name is None else dataset.features[name].to_numpy()
        np.testing.assert_array_equal(column[~np.isnan(known)], known[~np.isnan(known)])
    return given.features


def test_the_input_of_an_estimator_that_is_no_pipeline_is_the_features() -> None:
    (given,) = model_inputs(TREE, NUMBERS.features)
    assert (given.model, given.features) == (TREE, ("a", "b"))
    np.testing.assert_array_equal(given.prepare(NUMBERS.features), NUMBERS.features)


@pytest.mark.parametrize(
    ("steps", "columns"),
    [
        ((SimpleImputer(),), ("a", "b")),
        ((SimpleImputer(), FunctionTransformer()), ("a", "b")),
        ((make_pipeline(SimpleImputer(), FunctionTransformer()),), ("a", "b")),
        ((SimpleImputer(add_indicator=True),), (None, None, None)),
        ((SimpleImputer(), StandardScaler()), (None, None)),
        ((SimpleImputer(), FunctionTransformer(np.sqrt)), (None, None)),
        ((make_pipeline(SimpleImputer(), StandardScaler()),), (None, None)),
        ((SimpleImputer(), PolynomialFeatures(2)), (None,) * 6),
        (
            Pipeline([("left out", "passthrough"), ("fill", SimpleImputer()), ("none", None), ("model", TREE)]),
            ("a", "b"),
        ),
        (make_pipeline(SimpleImputer(), TREE).set_output(transform="pandas"), ("a", "b")),
    ],
)
def test_a_column_stays_its_feature_while_only_missing_values_change(steps: Any, columns: Columns) -> None:
    assert columns_of(steps) == columns


@pytest.mark.parametrize(
    ("parts", "options", "columns"),
    [
        ([("fill", SimpleImputer(), ["b", "a"])], {}, ("b", "a")),
        ([("fill", SimpleImputer(), [1, 0])], {}, ("b", "a")),
        ([("fill", SimpleImputer(), slice(1, 2))], {}, ("b",)),
        ([("fill", SimpleImputer(), [False, True])], {}, ("b",)),
        ([("fill", SimpleImputer(), lambda _: ["b"])], {}, ("b",)),
        ([("kept", "passthrough", ["b"]), ("fill", SimpleImputer(), ["a"])], {}, ("b", "a")),
        ([("fill", SimpleImputer(), ["a"])], {"remainder": "passthrough"}, ("a", "b")),
        ([("fill", SimpleImputer(), ["a"])], {"remainder": "drop"}, ("a",)),
        ([("none", "drop", ["a"]), ("kept", FunctionTransformer(), ["b"])], {}, ("b",)),
        ([("scaled", StandardScaler(), ["a"]), ("kept", "passthrough", ["b"])], {}, (None, "b")),
        ([("scaled", StandardScaler(), ["b"])], {"remainder": SimpleImputer()}, (None, "a")),
        ([("both", SimpleImputer(add_indicator=True), ["a"]), ("kept", "passthrough", ["b"])], {}, (None, None, "b")),
        ([("nested", make_pipeline(SimpleImputer(), StandardScaler()), ["a", "b"])], {}, (None, None)),
    ],
)
def test_columns_are_tracked_however_a_step_selects_them(parts: Any, options: dict[str, Any], columns: Columns) -> None:
    assert columns_of((ColumnTransformer(parts, **options),)) == columns


def test_columns_are_tracked_through_several_steps() -> None:
    turned = ColumnTransformer([("fill", SimpleImputer(), ["b", "a"])])
    again = ColumnTransformer([("kept", "passthrough", [1]), ("scaled", StandardScaler(), [0])])
    assert columns_of((turned, again)) == ("a", None)


@pytest.mark.parametrize("sparse", [False, True])
def test_an_encoded_category_is_no_feature(sparse: bool) -> None:  # noqa: FBT001  a parameter of the test
    encoder = OneHotEncoder(sparse_output=sparse)
    parts = [("word", encoder, ["c", "d"]), ("number", SimpleImputer(), ["b"])]
    transformer = ColumnTransformer(parts, sparse_threshold=float(sparse))
    assert columns_of((transformer,), WORDS) == (None,) * 5 + ("b",)


@pytest.mark.parametrize("name", ["decision_tree", "hist_gradient_boosting", "gradient_boosting"])
def test_named_estimators_take_numbers_after_the_encoded_categories(name: str) -> None:
    estimator = choose_estimator(name, "classification", WORDS.columns[:-1]).estimator
    coded = name == "hist_gradient_boosting"
    assert columns_of(estimator, WORDS) == (None,) * (2 if coded else 5) + ("a", "b")


@pytest.mark.parametrize("steps", [(), (OrdinalEncoder(),)])
def test_a_model_that_takes_text_is_left_out(steps: Any) -> None:
    prepared = [step.fit(WORDS.features) for step in steps]
    kept = FunctionTransformer().fit(WORDS.features)
    told = model_inputs(make_pipeline(*prepared, kept), WORDS.features)
    assert len(told) == len(steps)
    words_alone = make_pipeline(SimpleImputer(strategy="most_frequent").fit(WORDS.features[["d"]]), TREE)
    with pytest.raises(ConvertError, match=r"^a DecisionTreeClassifier within the Pipeline cannot be probed"):
        model_inputs(words_alone, WORDS.features[["d"]])


MEMBERS = {
    "boosted": (
        AdaBoostClassifier(DecisionTreeClassifier(max_depth=1), n_estimators=2, random_state=0),
        [("a", "b")] * 2,
    ),
    "bagged": (
        BaggingClassifier(DecisionTreeClassifier(random_state=0), 3, max_features=0.5, random_state=1),
        [("b",), ("a",), ("b",)],
    ),
    "calibrated": (CalibratedClassifierCV(TREE, cv=2, ensemble=True), [("a", "b")] * 2),
    "put to a vote": (
        VotingClassifier([("scaled", make_pipeline(StandardScaler(), TREE)), ("not", TREE)]),
        [(None, None), ("a", "b")],
    ),
    "searched for": (GridSearchCV(TREE, {"max_depth": [1, 2]}, cv=2), [("a", "b")]),
    "one against the rest": (OneVsRestClassifier(TREE), [("a", "b")]),
    "with a threshold": (FixedThresholdClassifier(TREE, threshold=0.4), [("a", "b")]),
    "stacked": (StackingClassifier([("one", TREE)], TREE, cv=2), [("a", "b"), (None,)]),
}


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("filled", [False, True])
def test_every_member_of_an_ensemble_is_found_with_its_input(name: str, *, filled: bool) -> None:
    """The prepared input is checked against each member's own answers."""
    made, columns = MEMBERS[name]
    known, target = NUMBERS.features.fillna(2.0), NUMBERS.target
    estimator = make_pipeline(SimpleImputer(), made) if filled else made
    estimator.fit(known, target)
    told = model_inputs(estimator, known)
    assert [given.features for given in told] == columns
    for given in told:
        values = given.prepare(known)
        assert isinstance(given.model, DecisionTreeClassifier)
        assert values.shape == (4, given.model.n_features_in_)
        if None not in given.features:
            np.testing.assert_array_equal(values, known[list(given.features)])


def test_trees_whose_input_cannot_be_found_are_refused() -> None:
    """A proof that did not probe them could pass a wrong model."""
    known = NUMBERS.features.fillna(2.0)
    chained = ClassifierChain(DecisionTreeClassifier()).fit(known, np.array([[0, 1], [1, 0], [1, 1], [0, 0]]))
    message = "^a DecisionTreeClassifier within the ClassifierChain cannot be probed at its thresholds$"
    with pytest.raises(ConvertError, match=message):
        model_inputs(chained, known)
    deep = make_pipeline(RandomTreesEmbedding(2), LogisticRegression()).fit(known, NUMBERS.target)
    with pytest.raises(ConvertError, match=r"^a \w+ within the Pipeline cannot be probed at its thresholds$"):
        model_inputs(deep, known)


def test_trees_that_only_selected_columns_are_not_probed() -> None:
    known = NUMBERS.features.fillna(2.0)
    chosen = make_pipeline(SelectFromModel(TREE), LogisticRegression()).fit(known, NUMBERS.target)
    (given,) = model_inputs(chosen, known)
    assert isinstance(given.model, LogisticRegression)
