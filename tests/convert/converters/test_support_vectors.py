"""Support vector machines answer as scikit-learn's for every kernel, number of classes and scale of features."""

from typing import Any

import numpy as np
import pytest
from skl2onnx.common.data_types import FloatTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.svm import SVC, SVR

from tests.convert.converters.both_sides import BothSides, draw_rows, read_table

KERNELS = ["rbf", "linear", "poly", "sigmoid"]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_a_classifier_gives_the_estimators_labels(load: Any, kernel: str) -> None:
    known, target = read_table(load)
    estimator = SVC(kernel=kernel, coef0=1.0, max_iter=20_000).fit(known / known.std(), target)
    sides = BothSides(estimator, known)
    sides.check(known / known.std())
    sides.check(draw_rows(known / known.std(), 1000))


@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_the_scores_are_those_of_the_decision_function(load: Any) -> None:
    known, target = read_table(load)
    estimator = SVC().fit(known, target)
    _, scores = BothSides(estimator, known).ask_model(known)
    expected = estimator.decision_function(known)
    np.testing.assert_allclose(scores if scores.shape[1] > 2 else scores[:, 1], expected, rtol=0, atol=1e-12)


def test_a_tie_of_votes_is_broken_by_the_scores_if_the_estimator_does_so() -> None:
    known, target = read_table(load_wine)
    scaled = known / known.std()
    rows = draw_rows(scaled, 2000)
    estimators = [SVC(break_ties=break_ties).fit(scaled, target) for break_ties in (False, True)]
    assert (estimators[0].predict(rows) != estimators[1].predict(rows)).any()
    for estimator in estimators:
        BothSides(estimator, known).check(rows)


@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
@pytest.mark.parametrize("ensemble", [False, True])
def test_calibrated_probabilities_are_the_estimators(load: Any, *, ensemble: bool) -> None:
    known, target = read_table(load)
    names = np.array(["one", "other", "third"])[target]
    sides = BothSides(CalibratedClassifierCV(SVC(), ensemble=ensemble).fit(known, names), known)
    sides.check(known)
    sides.check(draw_rows(known, 1000))


def test_vectors_far_from_zero_lose_no_precision() -> None:
    known, target = read_table(load_iris)
    moved = known + 1e6
    BothSides(CalibratedClassifierCV(SVC(gamma=1.0), ensemble=False).fit(moved, target), moved).check(moved)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_regressor_gives_the_estimators_numbers(kernel: str) -> None:
    known, target = read_table(load_diabetes)
    sides = BothSides(SVR(kernel=kernel, C=100.0).fit(known, target), known)
    sides.check(known)
    sides.check(draw_rows(known, 1000)[:1000])


def test_float32_input_has_float32_output() -> None:
    known, target = read_table(load_iris)
    known = known.astype(np.float32).astype(float)
    BothSides(CalibratedClassifierCV(SVC(), ensemble=False).fit(known, target), known, FloatTensorType).check(known)


@pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
@pytest.mark.filterwarnings("ignore:Attribute `prob[AB]_` was deprecated:FutureWarning")
def test_probabilities_of_libsvm_itself_are_left_to_skl2onnx() -> None:
    known, target = read_table(load_iris)
    estimator = SVC(probability=True, random_state=0).fit(known, target)
    _, probabilities = BothSides(estimator, known).ask_model(known)
    np.testing.assert_allclose(probabilities, estimator.predict_proba(known), rtol=0, atol=1e-5)


def test_a_kernel_of_ones_own_is_refused() -> None:
    known, target = read_table(load_iris)
    with pytest.raises(NotImplementedError, match=r"^expected a kernel rbf, linear, poly or sigmoid, got <function"):
        BothSides(SVC(kernel=lambda left, right: left @ right.T).fit(known.to_numpy(), target), known)
