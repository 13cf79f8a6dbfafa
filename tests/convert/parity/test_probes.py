"""Probes are of every kind on which both sides could differ, and hold only values that a request can send."""

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
from convert.parity.branches import adjacent_floats
from convert.parity.probes import GENERATED_ROWS, HUGE, ROWS_PER_CHANGE, UNSEEN, Probes, make_probes
from convert.parity.requests import to_fields
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
    "at boundary values",
    "extreme",
    "with missing values",
    "with unseen categories",
]
RowsByKind = Mapping[str, pd.DataFrame]


@pytest.fixture(scope="module")
def mixed() -> Specimen:
    """A tree on a table of every kind of column."""
    return make_specimen(mixed_table(), "decision_tree", generated_rows=GENERATED_ROWS)


@pytest.fixture(scope="module")
def by_kind(mixed: Specimen) -> RowsByKind:
    return {probes.kind: probes.rows for probes in mixed.probes}


def probe(dataset: Dataset, estimator: Any) -> RowsByKind:
    estimator.fit(dataset.features, dataset.target)
    made = make_probes(estimator, dataset.features, describe_features(dataset))
    return {probes.kind: probes.rows for probes in made}


def lines(rows: pd.DataFrame) -> set[tuple[Any, ...]]:
    return {comparable(row) for row in to_rows(rows)}


def test_a_table_with_every_type_of_column_has_every_kind_of_probe(mixed: Specimen, by_kind: RowsByKind) -> None:
    assert list(by_kind) == KINDS
    assert [probes.kind for probes in mixed.probes if probes.extreme] == ["extreme"]
    assert by_kind["known"] is mixed.dataset.features
    for rows in by_kind.values():
        assert list(rows.columns) == list(mixed.dataset.features.columns)


def test_a_kind_that_a_table_gives_no_reason_for_is_left_out(iris: Dataset) -> None:
    kinds = list(probe(iris, make_pipeline(LogisticRegression(solver="newton-cholesky"))))
    assert kinds == ["known", "in the training range", "at boundary values", "extreme"]
    words = make_table(pd.DataFrame({"c": ["a", "b"] * 10}), ["no", "yes"] * 10)
    assert list({one.kind for one in make_specimen(words, "log_reg").probes} & set(KINDS[2:4] + KINDS[5:6])) == []


def test_probes_are_the_same_each_time(mixed: Specimen) -> None:
    again = make_probes(mixed.estimator, mixed.dataset.features, describe_features(mixed.dataset))
    for once, twice in zip(mixed.probes, again, strict=True):
        pd.testing.assert_frame_equal(once.rows, twice.rows)


def test_probes_are_rows_that_a_request_can_hold(mixed: Specimen) -> None:
    """The codec that serves decodes each row to the very values of the probe."""
    codec, features = Codec(mixed.compiled.signature, "model_1"), mixed.compiled.signature.features
    rows = pd.concat([probes.rows.head(2000) for probes in mixed.probes], ignore_index=True)
    for row in to_rows(rows):
        sent = msgspec.json.encode(to_fields(row, features))
        assert comparable(codec.decode_row(sent)) == comparable(row)


def test_integers_stay_integers_and_booleans_zero_or_one(by_kind: RowsByKind) -> None:
    for rows in by_kind.values():
        for name in ("count", "steps"):
            values = rows[name].dropna()
            assert (values == values.round()).all()
            assert (values.abs() <= MAX_INTEGER).all()
        for name in ("is new", "is open"):
            assert set(rows[name].dropna()) <= {0.0, 1.0}
        for name in ("size (cm)", "weight"):
            assert (rows[name].dropna().abs() <= MAX_FP32).all()
            assert not np.isinf(rows[name]).any()


def test_only_what_training_saw_missing_is_missing(by_kind: RowsByKind) -> None:
    for rows in by_kind.values():
        missing = rows.isna() | (rows == "")
        assert set(missing.columns[missing.any()]) <= set(NULLABLE)


@pytest.mark.parametrize("name", ["size (cm)", "weight", "count", "steps"])
def test_rows_in_range_fill_the_box_and_go_no_further(mixed: Specimen, by_kind: RowsByKind, name: str) -> None:
    rows, known = by_kind["in the training range"], mixed.dataset.features[name]
    assert len(rows) == GENERATED_ROWS == 20_000
    assert (rows[name].min(), rows[name].max()) >= (known.min(), known.min())
    assert rows[name].max() <= known.max()
    half = rows[name].head(GENERATED_ROWS // 2)
    assert not half.isna().any()
    assert half.max() - half.min() > 0.95 * (known.max() - known.min())
    assert len(set(half)) > (9_000 if name in {"size (cm)", "weight"} else 30)


@pytest.mark.parametrize("name", ["size (cm)", "weight", "kind", "count", "is open", "numbers"])
def test_half_of_the_rows_in_range_have_each_value_from_a_known_row_of_its_own(
    mixed: Specimen, by_kind: RowsByKind, name: str
) -> None:
    mixed_rows, known = by_kind["in the training range"].tail(GENERATED_ROWS // 2), mixed.dataset.features
    values = {comparable((value,)) for value in mixed_rows[name].tolist()}
    assert values == {comparable((value,)) for value in known[name].tolist()}
    assert len(mixed_rows.merge(known.drop_duplicates())) < GENERATED_ROWS // 1000


def test_rows_in_range_are_also_where_the_known_ones_are_dense() -> None:
    known = make_table(pd.DataFrame({"income": [*np.linspace(1, 2, 999), 1e9]}), [0, 1] * 500)
    values = probe(known, LogisticRegression(solver="newton-cholesky"))["in the training range"]["income"]
    assert 9_950 <= (values <= 2).sum() <= 10_010


def test_a_branch_is_probed_at_and_next_to_its_threshold_by_a_row_that_visits_it() -> None:
    known = make_table(pd.DataFrame({"a": [0.1, 0.2, 0.3, 0.4], "b": [5.0, 5.0, 6.0, 6.0]}), [0, 1, 0, 1])
    tree = DecisionTreeClassifier(random_state=0)
    rows = probe(known, tree)["at thresholds"]
    thresholds = tree.tree_.threshold[tree.tree_.children_left >= 0]
    assert set(tree.tree_.feature[tree.tree_.children_left >= 0]) == {0}
    assert set(rows["a"]) == set(adjacent_floats(thresholds).ravel())
    assert len(rows) == len(thresholds) * 6
    assert set(rows["b"]) <= {5.0, 6.0}


def test_a_branch_on_integers_is_probed_with_those_on_either_side() -> None:
    known = make_table(pd.DataFrame({"n": [1.0, 2.0, 9.0, 10.0]}), [0, 0, 1, 1], {"n": "integer"})
    assert sorted(probe(known, DecisionTreeClassifier())["at thresholds"]["n"]) == [5.0, 6.0]


def test_a_branch_on_booleans_is_probed_with_both() -> None:
    known = make_table(pd.DataFrame({"b": [0.0, 1.0, 0.0, 1.0]}), [0, 1, 0, 1], {"b": "boolean"})
    assert sorted(probe(known, DecisionTreeClassifier())["at thresholds"]["b"]) == [0.0, 1.0]


@pytest.mark.parametrize("filled", [False, True])
def test_a_branch_on_a_nullable_feature_is_probed_with_a_missing_value(*, filled: bool) -> None:
    values = pd.DataFrame({"n": [1.0, 1.0, 9.0, 9.0, np.nan], "m": [0.0, 3.0, 0.0, 3.0, 3.0]})
    tree = DecisionTreeClassifier(random_state=0)
    rows = probe(make_table(values, [0, 1, 2, 3, 3]), make_pipeline(SimpleImputer(), tree) if filled else tree)[
        "at thresholds"
    ]
    assert rows["m"].nunique() > 2
    assert rows["n"].nunique() > 2
    assert not rows["m"].isna().any()
    assert rows["n"].isna().any()


def test_trees_on_encoded_categories_are_not_probed_at_thresholds() -> None:
    known = make_table(pd.DataFrame({"c": ["a", "b"] * 10}), ["no", "yes"] * 10)
    estimator = make_pipeline(FunctionTransformer(), make_pipeline(OneHotEncoder(), DecisionTreeClassifier()))
    assert "at thresholds" not in probe(known, estimator)


def test_beyond_the_limit_a_sample_of_branches_is_probed_and_the_kind_says_so(
    mixed: Specimen, by_kind: RowsByKind
) -> None:
    tree = mixed.estimator[-1].tree_
    # An infinite threshold parts missing values from all others.
    branches = int(((tree.children_left >= 0) & np.isfinite(tree.threshold)).sum())
    for most, kind in ((branches, "at thresholds"), (5, f"at thresholds (5 of {branches} branches)")):
        features = describe_features(mixed.dataset)
        made = make_probes(mixed.estimator, mixed.dataset.features, features, max_branches=most)
        (rows,) = [one.rows for one in made if one.kind.startswith("at thresholds")]
        assert kind in [one.kind for one in made]
        assert lines(rows) <= lines(by_kind["at thresholds"])
    assert 5 <= len(rows) <= 5 * 7


def test_every_threshold_on_a_feature_of_a_mixed_table_is_probed(mixed: Specimen, by_kind: RowsByKind) -> None:
    tree = mixed.estimator[-1].tree_
    columns = mixed.estimator[:-1].get_feature_names_out()
    for column, threshold in zip(tree.feature, tree.threshold, strict=True):
        # An infinite one parts missing values from all others.
        is_branch = column >= 0 and np.isfinite(threshold)
        name = columns[column].removeprefix("numbers__") if is_branch else ""
        if name in {"size (cm)", "weight"}:
            assert set(adjacent_floats(np.array([threshold]))[0]) <= set(by_kind["at thresholds"][name])
        if name in {"count", "steps"}:
            assert {math.floor(threshold), math.ceil(threshold)} <= set(by_kind["at thresholds"][name])


@pytest.mark.parametrize("name", ["size (cm)", "weight", "count", "steps"])
def test_each_feature_is_probed_at_its_boundary_values_and_far_beyond(
    mixed: Specimen, by_kind: RowsByKind, name: str
) -> None:
    known = mixed.dataset.features
    rows = pd.concat([by_kind["at boundary values"], by_kind["extreme"]])
    limit = MAX_FP32 if name in {"size (cm)", "weight"} else MAX_INTEGER
    wanted = {known[name].min(), known[name].max(), 0.0}
    wanted |= {sign * min(value, limit) for value in HUGE for sign in (-1, 1)}
    others = [other for other in known.columns if other != name]
    as_known = lines(known[others])
    alone = rows[[comparable(row) in as_known for row in to_rows(rows[others])]]
    assert wanted <= set(alone[name])


def test_all_numbers_are_probed_far_beyond_together(by_kind: RowsByKind) -> None:
    huge = by_kind["extreme"][["size (cm)", "weight"]].abs() == MAX_FP32
    assert huge.all(axis="columns").any()


@pytest.mark.parametrize("name", NULLABLE)
def test_each_feature_that_may_be_missing_is_so_by_itself(mixed: Specimen, by_kind: RowsByKind, name: str) -> None:
    rows, known = by_kind["with missing values"], mixed.dataset.features
    others = [other for other in known.columns if other != name]
    as_known = lines(known[others])
    alone = rows[[comparable(row) in as_known for row in to_rows(rows[others])]]
    assert (alone[name].isna() | (alone[name] == "")).sum() >= ROWS_PER_CHANGE


def test_all_features_that_may_be_missing_are_so_at_once_and_in_any_mixture(by_kind: RowsByKind) -> None:
    rows = by_kind["with missing values"][list(NULLABLE)]
    missing = rows.isna() | (rows == "")
    assert missing.all(axis="columns").sum() >= ROWS_PER_CHANGE
    assert len(missing.drop_duplicates()) == 2 ** len(NULLABLE)


def test_each_category_is_probed_with_texts_that_training_did_not_see(mixed: Specimen, by_kind: RowsByKind) -> None:
    rows, known = by_kind["with unseen categories"], mixed.dataset.features
    unseen = set(UNSEEN) - {"0"}  # which is one of the table's words
    for name, other in (("kind", "numbers"), ("numbers", "kind")):
        strange = rows[rows[name].isin(unseen)]
        assert set(strange[name]) == unseen
        assert (strange[name].value_counts() == ROWS_PER_CHANGE).all()
        assert set(strange[other]) <= set(known[other])
    assert len(rows) == 2 * len(unseen) * ROWS_PER_CHANGE


def test_probes_are_compared_by_identity() -> None:
    assert Probes("known", pd.DataFrame()) != Probes("known", pd.DataFrame())
