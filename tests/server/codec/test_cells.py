"""A table that is sent to the server is read as the same table is read to be learned from."""

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


def learned(found: list[str], kind: Type, *, nullable: bool) -> list[Value | None] | None:
    """Gives the values that training reads, None for one that is missing; or None where it refuses the column."""
    column = pd.Series(found, name="x", dtype=str)
    try:
        described = columns.describe(column, kind)
        values = columns.read_feature(column, described).tolist()
    except TrainingError:
        return None
    if described.missing and not nullable:
        return None
    return [None if value == "" or value != value else value for value in values]  # noqa: PLR0124  NaN


def asked(found: list[str], kind: Type, *, nullable: bool) -> list[Value | None] | None:
    """Gives the values that the server reads of the same cells, likewise."""
    table = io.StringIO()
    csv.writer(table, quoting=csv.QUOTE_ALL).writerows([["x"], *([cell] for cell in found)])
    try:
        rows = codec_of([feature("x", kind, nullable=nullable)]).decode_csv(table.getvalue().encode(), MANY_ROWS)
    except InvalidRowError:
        return None
    return [None if value == "" or (isinstance(value, float) and math.isnan(value)) else value for (value,) in rows]


@given(found=CELLS, kind=KINDS, nullable=st.booleans())
@example(found=["+5", ".5", "5.", "1e3", "007"], kind="number", nullable=False)
@example(found=["007"], kind="integer", nullable=False)
@example(found=["-0"], kind="integer", nullable=False)
@example(found=["NA", "nan", "1"], kind="integer", nullable=True)
@example(found=[str(2**53)], kind="integer", nullable=False)
@example(found=[str(2**53 + 1)], kind="integer", nullable=False)
@example(found=[str(-(2**53) - 1)], kind="number", nullable=False)
@example(found=["NA"], kind="category", nullable=False)
@example(found=["TRUE", "false", ""], kind="boolean", nullable=True)
def test_what_training_takes_for_a_value_is_taken_and_nothing_else(
    found: list[str], kind: Type, *, nullable: bool
) -> None:
    assert asked(found, kind, nullable=nullable) == learned(found, kind, nullable=nullable)
