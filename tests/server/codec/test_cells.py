"""The server reads the cells of a CSV request as training reads the cells of a table."""

import csv
import io
import math

import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st

from server.contract.signature import Value
from server.contract.types import MAX_TEXT_CHARS, MISSING, Type
from server.errors import InvalidRowError
from tests.support.signatures import MANY_ROWS, codec_of, feature
from training import columns
from training.errors import TrainingError

WRITTEN = st.text(st.sampled_from("0123456789+-.eE_ aflnrstuFNT/\n٤"), max_size=8)
NUMBERS = st.floats(allow_nan=False).map(repr) | st.integers(-(2**60), 2**60).map(str)
WORDS = st.sampled_from([*sorted(MISSING), "TRUE", "False", "inf", "1e39", "x" * MAX_TEXT_CHARS, "9" * 400])
DECIMALS = st.from_regex(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", fullmatch=True)
CELLS = st.lists(WRITTEN | NUMBERS | WORDS | DECIMALS, min_size=1, max_size=4)
KINDS = st.sampled_from(["number", "integer", "boolean", "category"])


def read_by_training(cells: list[str], kind: Type, *, nullable: bool) -> list[Value | None] | None:
    """Return the values that training reads, None for a missing one; or None if it refuses the column."""
    column = pd.Series(cells, name="x", dtype=str)
    try:
        described = columns.describe(column, kind)
        values = columns.read_feature(column, described).tolist()
    except TrainingError:
        return None
    if described.missing and not nullable:
        return None
    return [None if value == "" or value != value else value for value in values]  # noqa: PLR0124  NaN


def read_by_server(cells: list[str], kind: Type, *, nullable: bool) -> list[Value | None] | None:
    """Return the values that the server reads from the same cells, in the same form."""
    table = io.StringIO()
    csv.writer(table, quoting=csv.QUOTE_ALL).writerows([["x"], *([cell] for cell in cells)])
    try:
        rows = codec_of([feature("x", kind, nullable=nullable)]).decode_csv(table.getvalue().encode(), MANY_ROWS)
    except InvalidRowError:
        return None
    return [None if value == "" or (isinstance(value, float) and math.isnan(value)) else value for (value,) in rows]


@given(cells=CELLS, kind=KINDS, nullable=st.booleans())
@example(cells=["+5", ".5", "5.", "1e3", "007"], kind="number", nullable=False)
@example(cells=["007"], kind="integer", nullable=False)
@example(cells=["-0"], kind="integer", nullable=False)
@example(cells=["NA", "nan", "1"], kind="integer", nullable=True)
@example(cells=[str(2**53)], kind="integer", nullable=False)
@example(cells=[str(2**53 + 1)], kind="integer", nullable=False)
@example(cells=[str(-(2**53) - 1)], kind="number", nullable=False)
@example(cells=["NA"], kind="category", nullable=False)
@example(cells=["TRUE", "false", ""], kind="boolean", nullable=True)
def test_the_server_reads_the_cells_that_training_reads_and_no_others(
    cells: list[str], kind: Type, *, nullable: bool
) -> None:
    assert read_by_server(cells, kind, nullable=nullable) == read_by_training(cells, kind, nullable=nullable)
