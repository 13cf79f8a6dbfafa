"""The rows of a proof are of every kind that could tell both sides apart, and all such as a request can hold."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from convert.compile.features import describe_features
from convert.parity.answers import to_rows
from convert.parity.branches import around
from convert.parity.golden import to_fields
from convert.parity.probes import BESIDE_ROWS, GENERATED_ROWS, HUGE, UNSEEN, Questions, make_questions
from server.codec.json_rows import Codec
from server.contract.types import MAX_FP32, MAX_INTEGER
from tests.support.signatures import comparable
from tests.support.tables import Specimen, make_specimen, make_table, mixed_table
from training.dataset import Dataset

NULLABLE = ("weight", "count", "is open", "numbers")
KINDS = [
    "known",
    "in the training range",
    "at thresholds",
    "at the ends",
    "extreme",
    "with missing values",
    "with unseen categories",
]
Asked = Mapping[str, pd.DataFrame]


@pytest.fixture(scope="module")
def mixed() -> Specimen:
    """A tree on a table of every kind of column."""
    return make_specimen(mixed_table(), "decision_tree")


@pytest.fixture(scope="module")
def asked(mixed: Specimen) -> Asked:
    return {questions.kind: questions.rows for questions in mixed.questions}


def ask_of(dataset: Dataset, estimator: Any) -> Asked:
    estimator.fit(dataset.features, dataset.target)
    made = make_questions(estimator, dataset.features, describe_features(dataset))
    return {questions.kind: questions.rows for questions in made}


def lines(rows: pd.DataFrame) -> set[tuple[Any, ...]]:
    return {comparable(row) for row in to_rows(rows)}


def test_a_table_of_every_kind_is_asked_in_every_way(mixed: Specimen, asked: Asked) -> None:
    assert list(asked) == KINDS
    assert [questions.kind for questions in mixed.questions if questions.extreme] == ["extreme"]
    assert asked["known"] is mixed.dataset.features
    for rows in asked.values():
        assert list(rows.columns) == list(mixed.dataset.features.columns)


def test_rows_that_there_is_no_reason_for_are_not_asked(iris: Dataset) -> None:
    kinds = list(ask_of(iris, make_pipeline(LogisticRegression(solver="newton-cholesky"))))
    assert kinds == ["known", "in the training range", "at the ends", "extreme"]
    words = make_table(pd.DataFrame({"c": ["a", "b"] * 10}), ["no", "yes"] * 10)
    assert list({one.kind for one in make_specimen(words, "log_reg").questions} & set(KINDS[2:4] + KINDS[5:6])) == []


def test_the_rows_are_the_same_each_time(mixed: Specimen) -> None:
    again = make_questions(mixed.estimator, mixed.dataset.features, describe_features(mixed.dataset))
    for once, twice in zip(mixed.questions, again, strict=True):
        pd.testing.assert_frame_equal(once.rows, twice.rows)


def test_what_is_asked_is_what_a_request_can_hold(mixed: Specimen) -> None:
    """The codec that serves reads each row as the very values that are asked."""
    codec, features = Codec(mixed.compiled.signature, "model_1"), mixed.compiled.signature.features
    rows = pd.concat([questions.rows.head(2000) for questions in mixed.questions], ignore_index=True)
    for row in to_rows(rows):
        sent = msgspec.json.encode(to_fields(row, features))
        assert comparable(codec.decode_row(sent)) == comparable(row)


def test_whole_numbers_stay_whole_and_truth_values_zero_or_one(asked: Asked) -> None:
    for rows in asked.values():
        for name in ("count", "steps"):
            values = rows[name].dropna()
            assert (values == values.round()).all()
            assert (values.abs() <= MAX_INTEGER).all()
        for name in ("is new", "is open"):
            assert set(rows[name].dropna()) <= {0.0, 1.0}
        for name in ("size (cm)", "weight"):
            assert (rows[name].dropna().abs() <= MAX_FP32).all()
            assert not np.isinf(rows[name]).any()


def test_only_what_training_saw_missing_is_missing(asked: Asked) -> None:
    for rows in asked.values():
        missing = rows.isna() | (rows == "")
        assert set(missing.columns[missing.any()]) <= set(NULLABLE)


@pytest.mark.parametrize("name", ["size (cm)", "weight", "count", "steps"])
def test_rows_in_range_fill_the_box_and_go_no_further(mixed: Specimen, asked: Asked, name: str) -> None:
    rows, known = asked["in the training range"], mixed.dataset.features[name]
    assert len(rows) == GENERATED_ROWS == 20_000
    assert (rows[name].min(), rows[name].max()) >= (known.min(), known.min())
    assert rows[name].max() <= known.max()
    half = rows[name].head(GENERATED_ROWS // 2)
    assert not half.isna().any()
    assert half.max() - half.min() > 0.95 * (known.max() - known.min())
    assert len(set(half)) > (9_000 if name in {"size (cm)", "weight"} else 30)


@pytest.mark.parametrize("name", ["size (cm)", "weight", "kind", "count", "is open", "numbers"])
def test_half_of_the_rows_in_range_have_each_value_from_a_known_row_of_its_own(
    mixed: Specimen, asked: Asked, name: str
) -> None:
    mixed_rows, known = asked["in the training range"].tail(GENERATED_ROWS // 2), mixed.dataset.features
    values = {comparable((value,)) for value in mixed_rows[name].tolist()}
    assert values == {comparable((value,)) for value in known[name].tolist()}
    assert len(mixed_rows.merge(known.drop_duplicates())) < GENERATED_ROWS // 1000


def test_rows_in_range_are_also_where_the_known_ones_are_dense() -> None:
    known = make_table(pd.DataFrame({"income": [*np.linspace(1, 2, 999), 1e9]}), [0, 1] * 500)
    values = ask_of(known, LogisticRegression(solver="newton-cholesky"))["in the training range"]["income"]
    assert 9_950 <= (values <= 2).sum() <= 10_010


def test_a_branch_is_asked_at_its_threshold_and_beside_it_by_a_row_that_comes_by() -> None:
    known = make_table(pd.DataFrame({"a": [0.1, 0.2, 0.3, 0.4], "b": [5.0, 5.0, 6.0, 6.0]}), [0, 1, 0, 1])
    tree = DecisionTreeClassifier(random_state=0)
    rows = ask_of(known, tree)["at thresholds"]
    thresholds = tree.tree_.threshold[tree.tree_.children_left >= 0]
    assert set(tree.tree_.feature[tree.tree_.children_left >= 0]) == {0}
    assert set(rows["a"]) == set(around(thresholds).ravel())
    assert len(rows) == len(thresholds) * 6
    assert set(rows["b"]) <= {5.0, 6.0}


def test_a_branch_on_whole_numbers_is_asked_with_those_on_either_side() -> None:
    known = make_table(pd.DataFrame({"n": [1.0, 2.0, 9.0, 10.0]}), [0, 0, 1, 1], {"n": "integer"})
    assert sorted(ask_of(known, DecisionTreeClassifier())["at thresholds"]["n"]) == [5.0, 6.0]


def test_a_branch_on_truth_values_is_asked_with_both() -> None:
    known = make_table(pd.DataFrame({"b": [0.0, 1.0, 0.0, 1.0]}), [0, 1, 0, 1], {"b": "boolean"})
    assert sorted(ask_of(known, DecisionTreeClassifier())["at thresholds"]["b"]) == [0.0, 1.0]


@pytest.mark.parametrize("filled", [False, True])
def test_a_branch_is_asked_without_a_value_where_training_saw_none(*, filled: bool) -> None:
    values = pd.DataFrame({"n": [1.0, 1.0, 9.0, 9.0, np.nan], "m": [0.0, 3.0, 0.0, 3.0, 3.0]})
    tree = DecisionTreeClassifier(random_state=0)
    rows = ask_of(make_table(values, [0, 1, 2, 3, 3]), make_pipeline(SimpleImputer(), tree) if filled else tree)[
        "at thresholds"
    ]
    assert rows["m"].nunique() > 2
    assert rows["n"].nunique() > 2
    assert not rows["m"].isna().any()
    assert rows["n"].isna().any()


def test_where_it_cannot_be_told_what_trees_are_given_no_threshold_is_asked() -> None:
    known = make_table(pd.DataFrame({"c": ["a", "b"] * 10}), ["no", "yes"] * 10)
    estimator = make_pipeline(FunctionTransformer(), make_pipeline(OneHotEncoder(), DecisionTreeClassifier()))
    assert "at thresholds" not in ask_of(known, estimator)


def test_of_more_branches_than_can_be_asked_a_part_is_and_the_kind_says_so(
    mixed: Specimen, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = mixed.estimator[-1].tree_
    # An infinite threshold parts missing values from all others.
    branches = int(((tree.children_left >= 0) & np.isfinite(tree.threshold)).sum())
    for most, kind in ((branches, "at thresholds"), (5, f"at thresholds (5 of {branches} branches)")):
        monkeypatch.setattr("convert.parity.probes.MAX_BRANCHES", most)
        made = make_questions(mixed.estimator, mixed.dataset.features, describe_features(mixed.dataset))
        (rows,) = [one.rows for one in made if one.kind.startswith("at thresholds")]
        assert kind in [one.kind for one in made]
        assert lines(rows) <= lines(asked["at thresholds"])
    assert 5 <= len(rows) <= 5 * 7


def test_every_threshold_on_a_feature_of_a_mixed_table_is_asked(mixed: Specimen, asked: Asked) -> None:
    tree = mixed.estimator[-1].tree_
    columns = mixed.estimator[:-1].get_feature_names_out()
    for column, threshold in zip(tree.feature, tree.threshold, strict=True):
        # An infinite one parts missing values from all others.
        is_branch = column >= 0 and np.isfinite(threshold)
        name = columns[column].removeprefix("numbers__") if is_branch else ""
        if name in {"size (cm)", "weight"}:
            assert set(around(np.array([threshold]))[0]) <= set(asked["at thresholds"][name])
        if name in {"count", "steps"}:
            assert {math.floor(threshold), math.ceil(threshold)} <= set(asked["at thresholds"][name])


@pytest.mark.parametrize("name", ["size (cm)", "weight", "count", "steps"])
def test_each_feature_is_asked_at_its_ends_and_far_beyond(mixed: Specimen, asked: Asked, name: str) -> None:
    known = mixed.dataset.features
    rows = pd.concat([asked["at the ends"], asked["extreme"]])
    limit = MAX_FP32 if name in {"size (cm)", "weight"} else MAX_INTEGER
    wanted = {known[name].min(), known[name].max(), 0.0}
    wanted |= {sign * min(value, limit) for value in HUGE for sign in (-1, 1)}
    others = [other for other in known.columns if other != name]
    as_known = lines(known[others])
    alone = rows[[comparable(row) in as_known for row in to_rows(rows[others])]]
    assert wanted <= set(alone[name])


def test_all_numbers_are_asked_far_beyond_together(asked: Asked) -> None:
    huge = asked["extreme"][["size (cm)", "weight"]].abs() == MAX_FP32
    assert huge.all(axis="columns").any()


@pytest.mark.parametrize("name", NULLABLE)
def test_each_feature_that_may_be_missing_is_so_by_itself(mixed: Specimen, asked: Asked, name: str) -> None:
    rows, known = asked["with missing values"], mixed.dataset.features
    others = [other for other in known.columns if other != name]
    as_known = lines(known[others])
    alone = rows[[comparable(row) in as_known for row in to_rows(rows[others])]]
    assert (alone[name].isna() | (alone[name] == "")).sum() >= BESIDE_ROWS


def test_all_features_that_may_be_missing_are_so_at_once_and_in_any_mixture(asked: Asked) -> None:
    rows = asked["with missing values"][list(NULLABLE)]
    missing = rows.isna() | (rows == "")
    assert missing.all(axis="columns").sum() >= BESIDE_ROWS
    assert len(missing.drop_duplicates()) == 2 ** len(NULLABLE)


def test_each_category_is_asked_with_texts_that_training_did_not_see(mixed: Specimen, asked: Asked) -> None:
    rows, known = asked["with unseen categories"], mixed.dataset.features
    unseen = set(UNSEEN) - {"0"}  # which is one of the table's words
    for name, other in (("kind", "numbers"), ("numbers", "kind")):
        strange = rows[rows[name].isin(unseen)]
        assert set(strange[name]) == unseen
        assert (strange[name].value_counts() == BESIDE_ROWS).all()
        assert set(strange[other]) <= set(known[other])
    assert len(rows) == 2 * len(unseen) * BESIDE_ROWS


def test_questions_are_what_they_are_and_equal_nothing_else() -> None:
    assert Questions("known", pd.DataFrame()) != Questions("known", pd.DataFrame())
