"""The special cases of a family, and of the types of labels, are converted correctly or refused by name."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_iris
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from convert.converters import ensemble, forest
from convert.converters.ensemble import build_ensemble
from convert.errors import ConvertError
from tests.convert.converters.specimens import Specimen, ask, compile_model, hold_against

IRIS, SPECIES = load_iris(return_X_y=True)
DIABETES, PROGRESS = load_diabetes(return_X_y=True)
BOTH = pytest.mark.parametrize("precision", [np.float32, np.float64])


def categorical(*, missing: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns a table with categories in columns 0, 2 and 4, and a target that depends on all columns."""
    random = np.random.default_rng(7)
    codes = [random.integers(0, 40, 600), random.integers(-3, 3, 600), random.integers(0, 200, 600)]
    numbers = random.normal(size=(2, 600))
    known = np.column_stack([codes[0], numbers[0], codes[1], numbers[1], codes[2]]).astype(np.float64)
    target = known[:, 0] % 3 + known[:, 2] % 2 + known[:, 1] + (known[:, 4] % 7 > 3)
    if missing:
        known[random.random(known.shape) < 0.2] = np.nan
    return known, target


@attrs.frozen(eq=False)
class Categorical(Specimen):
    """A specimen whose rows have every known category, unknown ones, and numbers between."""

    def rows(self, uniform: int) -> npt.NDArray[np.float64]:
        asked = np.arange(-5, 261)
        strange = np.array([-0.5, 0.5, 1.5, 30.5, 199.5, 2.0**24, 1e10, 3e38, -3e38])
        values = np.concatenate([asked, strange])
        rows = np.repeat(self.known[:6], 3 * len(values), axis=0)
        rows.reshape(6, 3, len(values), -1)[:, [0, 1, 2], :, [0, 2, 4]] = values
        return np.vstack([super().rows(uniform), rows])


@BOTH
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_category_goes_to_its_child_and_an_unknown_one_to_that_of_nan(
    classes: int, precision: Any, missing: Any
) -> None:
    known, target = categorical(missing=missing)
    estimator = HistGradientBoostingClassifier(max_iter=8, categorical_features=[0, 2, 4])
    estimator.fit(known, pd.qcut(target, classes, labels=False))
    hold_against(Categorical(estimator, known), precision, exact=False)


@BOTH
def test_a_regressor_takes_categories_too(precision: Any) -> None:
    known, target = categorical(missing=True)
    estimator = HistGradientBoostingRegressor(max_iter=8, categorical_features=[2, 4]).fit(known, target)
    hold_against(Categorical(estimator, known), precision, exact=False)


def test_categories_that_are_no_numbers_are_refused() -> None:
    known = pd.DataFrame({"colour": pd.Categorical(["red", "green"] * 20), "size": np.arange(40.0)})
    estimator = HistGradientBoostingClassifier(max_iter=2, categorical_features=["colour"]).fit(known, [0, 1] * 20)
    with pytest.raises(ConvertError, match=r"^expected categories that are numbers, got \['green', 'red'\]"):
        compile_model(estimator, np.float32)


def test_a_category_that_is_no_float32_is_refused_for_float32_input_alone() -> None:
    known = np.repeat([[0.1], [0.2], [0.3]], 30, axis=0)
    estimator = HistGradientBoostingClassifier(max_iter=2, categorical_features=[0])
    estimator.fit(known, np.repeat([0, 1, 0], 30))
    with pytest.raises(ConvertError, match=r"^category 0\.\d of column 0 is no float32$"):
        compile_model(estimator, np.float32)
    hold_against(Specimen(estimator, known), np.float64, exact=False)


@pytest.mark.parametrize("labels", [["a", "b", "ü"], [-5, 0, 2**40], [False, True, True]])
@pytest.mark.parametrize("make", [DecisionTreeClassifier, GradientBoostingClassifier])
def test_labels_of_text_integers_and_booleans_are_answered(make: Any, labels: list[Any]) -> None:
    known, target = IRIS, np.array(labels)[SPECIES]
    estimator = make(max_depth=2).fit(known, target)
    answered, _ = ask(compile_model(estimator, np.float32), known.astype(np.float32), 1024)
    assert answered.tolist() == estimator.predict(known).tolist()


def test_labels_that_would_be_truncated_to_integers_are_refused() -> None:
    estimator = DecisionTreeClassifier().fit([[0.0], [1.0]], [0.0, 1.0])
    with pytest.raises(ConvertError, match=r"^expected labels of integers, booleans or text, got \[0\.0, 1\.0"):
        compile_model(estimator, np.float32)


@pytest.mark.parametrize("make", [DecisionTreeClassifier, DecisionTreeRegressor, RandomForestRegressor])
def test_several_targets_at_once_are_refused_by_name(make: Any) -> None:
    estimator = make().fit([[0.0], [1.0]], [[0, 1], [1, 0]])
    with pytest.raises(ConvertError, match=rf"^{make.__name__} answers 2 targets at once: expected one$"):
        compile_model(estimator, np.float32)


@BOTH
@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeClassifier(max_leaf_nodes=2),
        RandomForestClassifier(3),
        DecisionTreeRegressor(),
        HistGradientBoostingRegressor(max_iter=2),
        GradientBoostingRegressor(n_estimators=2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_tree_of_one_leaf_answers_every_row_alike(estimator: Any, precision: Any) -> None:
    hold_against(Specimen(estimator.fit(IRIS, np.ones(len(IRIS), dtype=np.int64)), IRIS), precision, exact=False)


@pytest.mark.parametrize(
    "init", ["zero", DummyClassifier(strategy="prior"), DummyClassifier(strategy="constant", constant=1), None]
)
@pytest.mark.parametrize("classes", [2, 3])
def test_boosting_starts_at_the_answer_of_its_init(init: Any, classes: int) -> None:
    known, target = IRIS[: 50 * classes], SPECIES[: 50 * classes]
    estimator = GradientBoostingClassifier(n_estimators=3, init=init).fit(known, target)
    hold_against(Specimen(estimator, known), np.float64, exact=False)


def test_boosting_may_start_at_the_median() -> None:
    estimator = GradientBoostingRegressor(n_estimators=3, init=DummyRegressor(strategy="median"))
    hold_against(Specimen(estimator.fit(DIABETES, PROGRESS), DIABETES), np.float64, exact=False)


@pytest.mark.parametrize(
    ("estimator", "init"),
    [
        (GradientBoostingRegressor(init=LinearRegression(), n_estimators=2), r"LinearRegression\(\)"),
        (GradientBoostingClassifier(init=DummyClassifier(strategy="uniform"), n_estimators=2), "DummyClassifier"),
    ],
)
def test_an_init_that_answers_row_by_row_or_at_random_is_refused(estimator: Any, init: str) -> None:
    estimator.fit(IRIS[:100], SPECIES[:100])
    with pytest.raises(ConvertError, match=rf"^init={init}.* of GradientBoosting.* answers row by row or at random: "):
        compile_model(estimator, np.float32)


def test_a_raw_score_of_zero_is_another_class_for_each_booster() -> None:
    known, target = np.zeros((4, 1)), [0, 1, 0, 1]
    for estimator, label in ((GradientBoostingClassifier(n_estimators=2), 1), (HistGradientBoostingClassifier(), 0)):
        estimator.fit(known, target)
        assert estimator.predict(known).tolist() == [label] * 4
        assert ask(compile_model(estimator, np.float32), known.astype(np.float32), 4)[0].tolist() == [label] * 4


def test_raw_scores_are_an_option() -> None:
    estimator = GradientBoostingClassifier(n_estimators=3).fit(IRIS, SPECIES)
    _, scores = ask(compile_model(estimator, np.float64, raw_scores=True), IRIS, 1024)
    np.testing.assert_array_equal(scores, estimator.decision_function(IRIS))


def test_a_calibrated_booster_is_calibrated_by_its_raw_scores() -> None:
    known, target = IRIS[50:], SPECIES[50:]
    estimator = CalibratedClassifierCV(GradientBoostingClassifier(n_estimators=3), cv=2).fit(known, target)
    labels, probabilities = ask(compile_model(estimator, np.float64), known, 1024)
    np.testing.assert_array_equal(labels, estimator.predict(known))
    np.testing.assert_allclose(probabilities, estimator.predict_proba(known), atol=1e-12)


def test_a_dictionary_per_row_is_an_option() -> None:
    estimator = RandomForestClassifier(3, random_state=0).fit(IRIS, SPECIES)
    model = onnx.load_from_string(compile_model(estimator, np.float32, zipmap=True))
    assert "ZipMap" in [node.op_type for node in model.graph.node]


def test_more_leaf_values_than_float32_can_index_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = forest.read_trees(DecisionTreeRegressor().fit(DIABETES, PROGRESS))
    monkeypatch.setattr(ensemble, "MAX_LEAF_VALUES", 100)
    with pytest.raises(ConvertError, match=r"^expected at most 100 different leaves, got 2\d\d$"):
        build_ensemble(tree, np.float32)


def test_a_link_without_a_known_inverse_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = HistGradientBoostingRegressor(max_iter=2).fit(DIABETES, PROGRESS)
    monkeypatch.setattr(estimator._loss, "link", object())
    with pytest.raises(ConvertError, match=r"^no inverse is known of the link object$"):
        compile_model(estimator, np.float32)
