"""A compiled tree, forest or booster answers every row as its estimator does, whatever the batch and the threads."""

from typing import Any

import numpy as np
import pytest

from tests.convert.converters.specimens import FAMILIES, Of, Specimen, ask, compile_model, fit

UNIFORM_ROWS = 20_000
EXACT = ("tree", "extra tree", "forest", "extra trees")
"""Families whose answers are sums and quotients only, for which IEEE 754 defines the rounding."""
BATCHES = ((1, 1, 300), (7, 2, 2_000), (32, 1, 4_000), (1024, 2, None))
"""Rows in a batch, threads, and how many of the rows are evaluated so."""


def hold_against(specimen: Specimen, precision: Any, *, exact: bool) -> None:
    """Evaluates estimator and model on the same rows, shuffled, and compares labels and numbers."""
    rows = specimen.rows(UNIFORM_ROWS).astype(precision)
    np.random.default_rng(6).shuffle(rows)
    model, step = compile_model(specimen.estimator, precision), np.finfo(precision).eps
    labels, numbers = specimen.answers(rows)
    for batch_rows, threads, count in BATCHES:
        *given, answered = ask(model, rows[:count], batch_rows, threads)
        assert answered.dtype == precision
        assert [labels[:count].tolist()] * len(given) == [each.tolist() for each in given]
        if exact:
            np.testing.assert_array_equal(answered, numbers[:count].astype(precision))
        else:
            np.testing.assert_allclose(answered, numbers[:count], rtol=2 * step, atol=step)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("of", FAMILIES, ids=str)
def test_every_row_is_answered_as_the_estimator_answers_it(of: Of, precision: Any) -> None:
    hold_against(fit(of), precision, exact=of.family in EXACT)
