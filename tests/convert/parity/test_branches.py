"""All visited branches of an estimator's trees are found, each with a row that visits it and the adjacent floats."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from convert.parity.branches import _read_trees, adjacent_floats, visited_branches
from server.contract.types import MAX_FP32
from tests.convert.converters.specimens import FAMILIES, Of, fit

STEPS = [[0.0, 5.0], [1.0, 5.0], [2.0, 6.0], [3.0, 6.0]]


def test_every_threshold_is_returned_with_its_column() -> None:
    estimator = DecisionTreeClassifier(random_state=0).fit(
        [[7.0, 0.0], [7.0, 1.0], [7.0, 2.0], [7.0, 3.0]], [0, 1, 0, 1]
    )
    branches = visited_branches(estimator, np.array([[7.0, 0.0], [7.0, 1.0], [7.0, 2.0], [7.0, 3.0]]))
    assert sorted(branches.threshold.tolist()) == [0.5, 1.5, 2.5]
    assert branches.column.tolist() == [1, 1, 1]


def test_a_visitor_is_the_first_row_that_visits_the_branch() -> None:
    estimator = DecisionTreeClassifier(random_state=0).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 0])
    visited = visited_branches(estimator, np.array([[9.0], [0.0], [2.0]]))
    by_threshold = dict(zip(visited.threshold.tolist(), visited.visitor.tolist(), strict=True))
    assert by_threshold == {1.5: 0, 2.5: 0}


def test_a_branch_that_no_row_visits_is_left_out() -> None:
    estimator = DecisionTreeClassifier(random_state=0).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 0])
    assert visited_branches(estimator, np.array([[-1.0]])).threshold.tolist() == [1.5]


def test_a_missing_value_goes_to_the_child_that_was_learned() -> None:
    known = np.array([[np.nan], [0.0], [1.0], [2.0], [3.0]])
    estimator = DecisionTreeClassifier(random_state=0).fit(known, [1, 0, 0, 1, 0])
    alone = visited_branches(estimator, known[:1])
    assert len(alone.threshold) == 2
    assert set(visited_branches(estimator, known[1:2]).threshold.tolist()) == {1.5}


def test_a_branch_that_splits_off_missing_values_has_no_threshold() -> None:
    known = np.array([[np.nan]] * 20 + [[1.0]] * 20)
    estimator = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=2).fit(known, [0] * 20 + [1] * 20)
    assert visited_branches(estimator, known).threshold.tolist() == []


def test_a_threshold_has_adjacent_floats_in_both_precisions() -> None:
    (beside,) = adjacent_floats(np.array([0.1]))
    single = np.float32(0.1)
    assert set(beside.tolist()) == {
        0.1,
        float(single),
        *(float(np.nextafter(at, at.dtype.type(way))) for at in (np.float64(0.1), single) for way in (-np.inf, np.inf)),
    }
    assert len(set(beside.tolist())) == 6


@pytest.mark.parametrize("end", [-MAX_FP32, MAX_FP32])
def test_no_adjacent_float_is_beyond_what_a_request_may_hold(end: float) -> None:
    (beside,) = adjacent_floats(np.array([end]))
    assert end in beside
    assert np.abs(beside).max() == MAX_FP32
    assert (np.abs(beside) < MAX_FP32).any()


def test_an_estimator_without_trees_has_no_branches() -> None:
    known, target = load_breast_cancer(return_X_y=True)
    estimator = LogisticRegression(solver="newton-cholesky").fit(known, target)
    assert visited_branches(estimator, known).visitor.tolist() == []
    assert adjacent_floats(visited_branches(estimator, known).threshold).shape == (0, 6)


@pytest.mark.parametrize("of", [of for of in FAMILIES if of.table != "three classes"], ids=str)
def test_every_branch_of_every_family_that_a_row_visits_is_returned(of: Of) -> None:
    specimen = fit(of)
    branches = visited_branches(specimen.estimator, specimen.known)
    trees, _ = _read_trees(specimen.estimator)
    told = set(zip(branches.column.tolist(), branches.threshold.tolist(), strict=True))
    for tree in trees:
        at = ~tree.is_leaf & np.isfinite(tree.threshold)
        assert set(zip(tree.column[at].tolist(), tree.threshold[at].tolist(), strict=True)) <= told
