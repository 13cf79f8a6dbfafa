"""A compiled tree, forest or booster answers every row as its estimator does, whatever the batch and the threads."""

from typing import Any

import numpy as np
import pytest

from tests.convert.converters.specimens import FAMILIES, Of, fit, hold_against

EXACT = ("tree", "extra tree", "forest", "extra trees")
"""Families whose answers are sums and quotients only, for which IEEE 754 defines the rounding."""


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("of", FAMILIES, ids=str)
def test_every_row_is_answered_as_the_estimator_answers_it(of: Of, precision: Any) -> None:
    hold_against(fit(of), precision, exact=of.family in EXACT)
