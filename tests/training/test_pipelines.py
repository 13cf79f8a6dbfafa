"""A pipeline holds what a table asks for on behalf of a model, and no more."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from server.contract.types import Type
from training.columns import Column
from training.pipelines import EXPANSIONS, Expansion, Needs, make_pipeline

NOTHING = Needs(filled=False)
FILLED = Needs()
SCALED = Needs(scaled=True)
CODES = Needs(filled=False, codes=True)

N = Column("n", "number", missing=0)
GAPS = Column("n", "integer", missing=3)
FLAG = Column("b", "boolean", missing=0)
COLOUR = Column("c", "category", missing=2)
ROWS = pd.DataFrame(
    {
        "c": ["red", "blue", "", "red", "blue", "red"],
        "n": [1.0, np.nan, 3.0, 4.0, 9.0, np.nan],
        "b": [0.0, 1.0, 1.0, 0.0, 1.0, 0.0],
    }
)
TARGET = pd.Series([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def prepare(needs: Needs, columns: Sequence[Column], expansion: Expansion = "none") -> pd.DataFrame:
    """Return what the model would be given of ROWS."""
    model = make_pipeline(LinearRegression(), needs, columns, expansion)
    assert isinstance(model, Pipeline)
    return pd.DataFrame(model[:-1].fit_transform(ROWS[[column.name for column in columns]], TARGET))


@pytest.mark.parametrize(
    ("needs", "columns", "expansion", "steps"),
    [
        (NOTHING, [N, FLAG], "none", []),
        (NOTHING, [GAPS, FLAG], "none", []),
        (CODES, [GAPS, FLAG], "none", []),
        (FILLED, [N, FLAG], "none", []),
        (FILLED, [GAPS, FLAG], "none", ["fill"]),
        (SCALED, [N], "none", ["scale"]),
        (SCALED, [GAPS], "none", ["fill", "scale"]),
        (NOTHING, [N], "polynomial", ["products"]),
        (NOTHING, [GAPS], "polynomial", ["fill", "products"]),
        (NOTHING, [GAPS], "splines", ["fill", "splines"]),
        (SCALED, [GAPS], "splines", ["fill", "splines", "scale"]),
        (NOTHING, [COLOUR], "none", ["columns"]),
        (SCALED, [COLOUR, GAPS], "splines", ["columns"]),
    ],
)
def test_a_pipeline_has_the_steps_that_its_columns_and_its_model_ask_for(
    needs: Needs, columns: Sequence[Column], expansion: Expansion, steps: list[str]
) -> None:
    model = LinearRegression()
    made = make_pipeline(model, needs, columns, expansion)
    assert (made is model) == (not steps)
    if isinstance(made, Pipeline):
        assert list(made.named_steps) == [*steps, "model"]
        assert made.named_steps["model"] is model


def test_missing_numbers_become_the_median_and_scaled_ones_are_of_one_scale() -> None:
    assert prepare(FILLED, [GAPS])[0].tolist() == [1.0, 3.5, 3.0, 4.0, 9.0, 3.5]
    scaled = prepare(SCALED, [GAPS, FLAG])
    assert scaled.mean().tolist() == pytest.approx([0, 0])
    assert scaled.std(ddof=0).tolist() == pytest.approx([1, 1])


def test_a_category_becomes_a_column_of_0_and_1_for_each_text_and_none_for_one_never_seen() -> None:
    made = make_pipeline(LinearRegression(), FILLED, [COLOUR], "none")
    assert isinstance(made, Pipeline)
    encoded = made[:-1].fit(ROWS[["c"]])
    assert encoded.transform(pd.DataFrame({"c": ["", "blue", "red", "Red"]})).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 0],
    ]


def test_codes_of_categories_come_before_numbers_with_their_gaps_and_one_never_seen_is_below_all() -> None:
    made = make_pipeline(LinearRegression(), CODES, [GAPS, COLOUR], "none")
    assert isinstance(made, Pipeline)
    encoded = made[:-1].fit(ROWS[["n", "c"]])
    rows = encoded.transform(pd.DataFrame({"n": [7.0, np.nan], "c": ["red", "green"]}))
    np.testing.assert_array_equal(rows, [[2, 7], [-1, np.nan]])


@pytest.mark.parametrize(("expansion", "made"), [("none", 2), ("polynomial", 5), ("splines", 2 * 7)])
def test_features_are_made_of_numbers_and_never_of_categories(expansion: Expansion, made: int) -> None:
    prepared = prepare(FILLED, [COLOUR, GAPS, FLAG], expansion)
    assert prepared.shape == (6, 3 + made)
    assert prepared[[0, 1, 2]].sum().tolist() == [1, 2, 3]


def test_products_of_two_are_those_of_the_numbers_and_of_each_with_itself() -> None:
    prepared = prepare(FILLED, [GAPS, FLAG], "polynomial")
    assert prepared.iloc[4].tolist() == [9, 1, 81, 9, 1]


@pytest.mark.parametrize("expansion", EXPANSIONS)
@pytest.mark.parametrize("kind", ["number", "integer", "boolean"])
def test_a_column_that_is_empty_in_the_rows_to_learn_from_is_learned_from_without_harm(
    kind: Type, expansion: Expansion
) -> None:
    columns = [N, Column("gone", kind, missing=5)]
    rows = pd.DataFrame({"n": range(6), "gone": [np.nan] * 6}, dtype=np.float64)
    made = make_pipeline(LinearRegression(), SCALED, columns, expansion)
    assert isinstance(made, Pipeline)
    made.fit(rows, TARGET)
    assert np.isfinite(made.predict(rows.fillna(1.0))).all()
