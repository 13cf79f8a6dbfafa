"""Preprocessing pipelines: imputation, encoding, scaling and extra features, as a model needs them.

The preprocessing is part of the estimator, and so of the compiled model.
"""

from collections.abc import Sequence
from typing import Literal

import attrs
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures, SplineTransformer, StandardScaler

from training.columns import Column
from training.dataset import Dataset
from training.errors import TrainingError

Expansion = Literal["none", "polynomial", "splines"]
Step = tuple[str, object]

MAX_CODES = 255
"""The number of categories a column that histogram gradient boosting takes (its ``max_bins``)."""
EXPANSIONS: tuple[Expansion, ...] = ("none", "polynomial", "splines")


@attrs.frozen
class Needs:
    """What a model needs of its input.

    Attributes:
        scaled: Whether its numbers are standardised.
        filled: Whether missing values are filled in, as it cannot take them.
        codes: Whether it takes categories as integer codes; otherwise they are one-hot encoded.
    """

    scaled: bool = False
    filled: bool = True
    codes: bool = False


def make_pipeline(model: object, needs: Needs, columns: Sequence[Column], expansion: Expansion) -> object:
    """Put the preprocessing before a model that it needs for these columns; none, if it needs none.

    Args:
        model: An unfitted scikit-learn estimator.
        needs: What the model needs of its input.
        columns: The features.
        expansion: Extra numeric features: pairwise products, cubic splines, or none.
    """
    categories = [column.name for column in columns if column.kind == "category"]
    numbers = [column for column in columns if column.kind != "category"]
    steps = _number_steps(needs, numbers, expansion) if numbers else []
    if categories:
        encoder = ("categories", _encoder(needs), categories)
        names = [column.name for column in numbers]
        prepared = ("numbers", Pipeline(steps) if steps else "passthrough", names)
        # Categories come first, so that their positions do not depend on the extra features.
        steps = [("columns", ColumnTransformer([encoder, prepared] if numbers else [encoder]))]
    return Pipeline([*steps, ("model", model)]) if steps else model


def _number_steps(needs: Needs, columns: Sequence[Column], expansion: Expansion) -> list[Step]:
    steps: list[Step] = []
    # Neither products nor splines take missing values.
    if (needs.filled or expansion != "none") and any(column.missing for column in columns):
        steps.append(("fill", SimpleImputer(strategy="median", keep_empty_features=True)))
    if expansion == "polynomial":
        steps.append(("products", PolynomialFeatures(degree=2, include_bias=False)))
    elif expansion == "splines":
        steps.append(("splines", SplineTransformer(n_knots=5, degree=3, extrapolation="linear")))
    if needs.scaled:
        steps.append(("scale", StandardScaler()))
    return steps


def _encoder(needs: Needs) -> object:
    if needs.codes:
        # If there are more categories, the rarest share a code.
        return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, max_categories=MAX_CODES)
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)


def check_bins(dataset: Dataset, rows: tuple[int, ...], needs: Needs) -> None:
    """Refuse columns that histogram gradient boosting cannot bin, by name: its own error does not name them.

    Args:
        dataset: The table.
        rows: Positions of the training rows.
        needs: What the model needs.

    Raises:
        TrainingError: If a column has no value in these rows, and missing values are not filled in.
    """
    if needs.filled or not needs.codes:
        return
    missing = dataset.features.iloc[list(rows)].isna().all()
    for name in missing.index[missing]:
        raise TrainingError(
            f"column {name!r} has no value in the {len(rows)} rows to learn from; leave it out with --drop, or take "
            "another estimator than hist_gradient_boosting"
        )
