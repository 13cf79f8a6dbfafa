"""Compiled preprocessing steps transform missing values, text and unknown categories as in training."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)

from tests.convert.converters.both_sides import BothSides

NUMBERS, TEXTS = ["n0", "n1", "n2"], ["t0", "t1"]
ONE_HOT = OneHotEncoder(handle_unknown="ignore")
ORDINAL = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def make_table(count: int, seed: int, *, missing: float = 0.2) -> pd.DataFrame:
    """Draws rows of numbers, some NaN, and of text, some empty."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(random.normal(size=(count, 3)) * [1, 10, 0.1] + [0, 100, 1], columns=NUMBERS)
    table["t0"] = random.choice(["red", "grün", "blue", ""], count)
    table["t1"] = random.choice(["x", "y"], count)
    return table.assign(**{name: table[name].where(random.random(count) > missing) for name in NUMBERS})


KNOWN = make_table(300, 1)
FULL = make_table(300, 2, missing=0)
ROWS = pd.concat(
    [make_table(2000, 3), KNOWN, KNOWN[:20].assign(t0="unseen", t1=""), KNOWN[:20].assign(n0=np.nan, n1=np.nan)]
)
FAR = [FULL[:5].assign(**{name: value}) for name in NUMBERS for value in (1e30, -1e30, 1e9)]
FULL_ROWS = pd.concat(
    [make_table(2000, 4, missing=0), FULL, FULL[:20].assign(n0=[FULL.n0.max(), FULL.n0.min()] * 10), *FAR]
)
TARGET = KNOWN.n0.fillna(0) + (KNOWN.t0 == "red") + KNOWN.n1.fillna(90) / 50
FULL_TARGET = FULL.n0 + FULL.n1 / 20 + np.sin(FULL.n2)
CLASSES = np.where(TARGET < 2, "low", np.where(TARGET < 3, "middle", "high"))


def on_numbers(*steps: Any) -> Pipeline:
    return make_pipeline(ColumnTransformer([("numbers", make_pipeline(*steps), NUMBERS)]), Ridge())


@pytest.mark.parametrize("numbers", [DoubleTensorType, FloatTensorType])
@pytest.mark.parametrize("encoder", [ONE_HOT, ORDINAL])
@pytest.mark.parametrize("text_first", [False, True])
def test_a_table_of_numbers_with_gaps_and_text_is_compiled(numbers: Any, encoder: Any, *, text_first: bool) -> None:
    parts = [
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
        ("texts", encoder, TEXTS),
    ]
    steps = ColumnTransformer(parts[::-1] if text_first else parts)
    sides = BothSides(
        make_pipeline(steps, LogisticRegression(solver="newton-cholesky")).fit(KNOWN, CLASSES), KNOWN, numbers
    )
    sides.check(ROWS)


@pytest.mark.filterwarnings("ignore:Found unknown categories in columns:UserWarning")
@pytest.mark.parametrize("encoder", [ONE_HOT, ORDINAL, OneHotEncoder(drop="first", handle_unknown="ignore")])
def test_a_table_of_text_alone_is_computed_in_double(encoder: Any) -> None:
    table = KNOWN[TEXTS]
    steps = ColumnTransformer([("texts", encoder, TEXTS)])
    BothSides(make_pipeline(steps, Ridge()).fit(table, TARGET), table).check(ROWS[TEXTS])


def test_an_encoder_that_refuses_unknown_categories_is_compiled() -> None:
    steps = ColumnTransformer([("columns", OneHotEncoder(), ["t0"]), ("codes", OrdinalEncoder(), ["t1"])])
    BothSides(make_pipeline(steps, Ridge()).fit(KNOWN, TARGET), KNOWN).check(make_table(500, 9))


@pytest.mark.parametrize("encoder", [ONE_HOT, ORDINAL])
def test_numbers_can_be_categories(encoder: Any) -> None:
    table = FULL.assign(n0=FULL.n0.round(), n1=FULL.n1.round())
    steps = ColumnTransformer([("codes", encoder, ["n0", "n1"])])
    sides = BothSides(make_pipeline(steps, Ridge()).fit(table, FULL_TARGET), table)
    sides.check(pd.concat([table, table.assign(n0=0.5)]))


@pytest.mark.filterwarnings("ignore:Found unknown categories in columns:UserWarning")
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(min_frequency=0.3, handle_unknown="ignore"),
        OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist"),
        OneHotEncoder(max_categories=3, handle_unknown="warn"),
        OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist", drop="first"),
        OneHotEncoder(max_categories=1000, handle_unknown="infrequent_if_exist"),
        OrdinalEncoder(max_categories=3, handle_unknown="use_encoded_value", unknown_value=-1),
        OrdinalEncoder(min_frequency=0.3, handle_unknown="use_encoded_value", unknown_value=77),
    ],
    ids=str,
)
@pytest.mark.parametrize("numbers", [False, True])
def test_categories_that_are_grouped_have_one_code(encoder: Any, *, numbers: bool) -> None:
    known = pd.DataFrame({"a": list("uvwxyz") * 10 + list("uvw") * 30, "b": list("wxy") * 50})
    if numbers:
        known = pd.DataFrame({name: values.map(ord).astype(float) for name, values in known.items()})
    unseen = known.head(3).assign(a=999.0 if numbers else "never seen")
    steps = ColumnTransformer([("codes", encoder, ["a", "b"])])
    estimator = make_pipeline(steps, Ridge()).fit(known, np.arange(len(known)) % 17)
    BothSides(estimator, known).check(pd.concat([known, unseen]))


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("indicator", [False, True])
def test_missing_values_are_imputed(strategy: str, *, indicator: bool) -> None:
    estimator = on_numbers(SimpleImputer(strategy=strategy, add_indicator=indicator)).fit(KNOWN, TARGET)
    BothSides(estimator, KNOWN).check(ROWS)


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values:UserWarning")
def test_a_column_without_a_value_is_left_out() -> None:
    known = KNOWN.assign(n1=np.nan)
    BothSides(on_numbers(SimpleImputer()).fit(known, TARGET), known).check(ROWS.assign(n1=np.nan))


def test_missing_values_that_are_numbers_are_refused() -> None:
    with pytest.raises(NotImplementedError, match=r"^expected missing values that are NaN, got -1$"):
        BothSides(on_numbers(SimpleImputer(missing_values=-1)).fit(FULL, FULL_TARGET), FULL)


@pytest.mark.parametrize("numbers", [DoubleTensorType, FloatTensorType])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"degree": 3, "include_bias": False},
        {"degree": 3, "interaction_only": True},
        {"degree": (2, 3), "include_bias": False},
        {"degree": (0, 1)},
        {"degree": (3, 3), "include_bias": False},
    ],
)
def test_products_of_features_are_compiled(parameters: dict[str, Any], numbers: Any) -> None:
    estimator = on_numbers(StandardScaler(), PolynomialFeatures(**parameters)).fit(FULL, FULL_TARGET)
    rows = FULL_ROWS if numbers is DoubleTensorType else FULL
    BothSides(estimator, FULL, numbers).check(rows)


@pytest.mark.parametrize("extrapolation", ["constant", "linear", "continue", "periodic"])
@pytest.mark.parametrize("knots", ["uniform", "quantile"])
@pytest.mark.parametrize("parameters", [{}, {"degree": 1, "n_knots": 2}, {"degree": 2, "include_bias": False}])
def test_splines_are_compiled_within_the_knots_and_beyond(
    extrapolation: str, knots: str, parameters: dict[str, Any]
) -> None:
    if extrapolation == "periodic" and parameters.get("n_knots") == 2:
        parameters = {"degree": 1, "n_knots": 3}
    step = SplineTransformer(extrapolation=extrapolation, knots=knots, **parameters)
    BothSides(on_numbers(step).fit(FULL, FULL_TARGET), FULL).check(FULL_ROWS)


def test_splines_of_values_that_repeat_have_knots_that_coincide() -> None:
    table = FULL.assign(n0=FULL.n0.round(), n1=3.0)
    step = SplineTransformer(knots="quantile", n_knots=8)
    BothSides(on_numbers(step).fit(table, FULL_TARGET), table).check(pd.concat([table, FULL_ROWS]))


def test_splines_of_a_missing_value_are_zero_if_the_estimators_are() -> None:
    step = SplineTransformer(handle_missing="zeros", extrapolation="continue")
    BothSides(on_numbers(step).fit(KNOWN, TARGET), KNOWN).check(ROWS)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (SplineTransformer(degree=0), "expected splines of degree 1 or more, got 0"),
        (SplineTransformer(extrapolation="periodic"), "expected features of more than one value for periodic splines"),
    ],
)
def test_splines_that_are_not_supported_are_refused(step: SplineTransformer, message: str) -> None:
    table = FULL.assign(n0=1.0)
    with pytest.raises(NotImplementedError, match=f"^{message}$"):
        BothSides(on_numbers(step).fit(table, FULL_TARGET), table)


@pytest.mark.parametrize("encode", ["onehot", "onehot-dense", "ordinal"])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_intervals_are_compiled_including_their_edges(encode: str, strategy: str) -> None:
    step = KBinsDiscretizer([2, 3, 5], encode=encode, strategy=strategy, quantile_method="averaged_inverted_cdf")
    estimator = on_numbers(step).fit(FULL, FULL_TARGET)
    edges = estimator[0].named_transformers_["numbers"][0].bin_edges_
    on_edges = pd.concat([FULL[: len(edge)].assign(**{name: edge}) for name, edge in zip(NUMBERS, edges, strict=True)])
    BothSides(estimator, FULL).check(pd.concat([FULL_ROWS, on_edges]))


def test_columns_can_be_passed_on_or_dropped() -> None:
    steps = ColumnTransformer(
        [("kept", "passthrough", ["n0"]), ("left", "drop", ["n1"]), ("same", FunctionTransformer(None), ["n2"])]
    )
    BothSides(make_pipeline(steps, Ridge()).fit(FULL, FULL_TARGET), FULL).check(FULL_ROWS)
