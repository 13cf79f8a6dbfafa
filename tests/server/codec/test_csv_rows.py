"""CSV gives the same rows as JSON, and its faults are named by row and column."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.codec.json_rows import Codec
from server.contract.signature import Feature
from server.contract.types import MISSING
from server.errors import BodyTooLargeError, InvalidRowError, MalformedBodyError
from tests.support.signatures import MANY_ROWS, as_read, codec_of, comparable, feature, features_of_any_type, fields_for

MIXED = (
    feature("size, cm", "number"),
    feature("legs", "integer", nullable=True),
    feature("tame", "boolean", nullable=True),
    feature("colour", "category", nullable=True),
    feature("kind", "category"),
)
HEADER = '"size, cm",legs,tame,colour,kind'
LINE = "1.5,4,true,red,blue"
ROW = (1.5, 4, True, "red", "blue")
NAMES = [one.name for one in MIXED]


def line_with(column: str, cell: str, before: str = "") -> str:
    """Return a table whose last row is the usual one except for one cell; `before` has the lines above it."""
    cells = dict(zip(NAMES, ("1.5", "4", "true", "red", "blue"), strict=True)) | {column: cell}
    line = ",".join('"' + text.replace('"', '""') + '"' for text in cells.values())
    return f"{HEADER}\n{before}{line}\n"


@pytest.fixture(scope="module")
def codec() -> Codec:
    return codec_of(MIXED)


def write(rows: Sequence[dict[str, Any]], names: Sequence[str], terminator: str) -> bytes:
    """Write rows as a program would: an empty cell for null, True for true, numbers as Python formats them."""
    text = io.StringIO()
    # Python 3.11 does not quote a cell because of a line end that differs from the terminator.
    writer = csv.writer(
        text, lineterminator=terminator, quoting=csv.QUOTE_MINIMAL if terminator == "\r\n" else csv.QUOTE_ALL
    )
    writer.writerow(names)
    writer.writerows([["" if row[name] is None else row[name] for name in names] for row in rows])
    return text.getvalue().encode()


def faults(codec: Codec, body: str) -> dict[str, str]:
    with pytest.raises(InvalidRowError) as refused:
        codec.decode_csv(body.encode(), MANY_ROWS)
    return refused.value.fields


@given(
    features=features_of_any_type(),
    data=st.data(),
    terminator=st.sampled_from(["\n", "\r\n", "\r"]),
    has_mark=st.booleans(),
)
def test_the_same_rows_are_read_by_csv_and_by_json(
    features: list[Feature], data: st.DataObject, terminator: str, *, has_mark: bool
) -> None:
    """Except text that means a missing value in a table: CSV cannot express it."""
    rows = data.draw(st.lists(fields_for(features).filter(lambda row: MISSING.isdisjoint(row.values())), max_size=4))
    names = data.draw(st.permutations([one.name for one in features]))
    has_mark |= names[0].startswith("\ufeff")  # else the name's own mark would be taken for the file's
    codec = codec_of(features)
    read = codec.decode_csv(b"\xef\xbb\xbf" * has_mark + write(rows, names, terminator), MANY_ROWS)
    assert [comparable(row) for row in read] == [as_read(row, features) for row in rows]
    by_json = codec.decode_rows(json.dumps(rows).encode(), MANY_ROWS)
    assert [comparable(row) for row in read] == [comparable(row) for row in by_json]
    assert [[type(value) for value in row] for row in read] == [[type(value) for value in row] for row in by_json]


@pytest.mark.parametrize(
    "body",
    [
        f"{HEADER}\n{LINE}",
        f"{HEADER}\r\n{LINE}\r\n",
        f"\ufeff{HEADER}\n{LINE}\n",
        f"{HEADER}\n\n{LINE}\n\n",
        '"size, cm","legs","tame","colour","kind"\n"1.5","4","true","red","blue"\n',
        'kind,tame,"size, cm",colour,legs\nblue,TRUE,15e-1,red,4\n',
    ],
)
def test_every_dialect_of_line_ends_quotes_and_column_order_is_read(codec: Codec, body: str) -> None:
    assert codec.decode_csv(body.encode(), MANY_ROWS) == [ROW]


def test_a_cell_may_have_commas_quotes_and_lines(codec: Codec) -> None:
    assert codec.decode_csv(f'{HEADER}\n1,2,false,"a ""b"",\r\nc\n",","\n'.encode(), MANY_ROWS) == [
        (1.0, 2, False, 'a "b",\r\nc\n', ",")
    ]


def test_a_header_alone_is_no_rows(codec: Codec) -> None:
    assert codec.decode_csv(HEADER.encode(), MANY_ROWS) == []


@pytest.mark.parametrize("cell", sorted(MISSING))
def test_cells_that_mean_a_missing_value_are_null_if_the_feature_is_nullable(codec: Codec, cell: str) -> None:
    rows = codec.decode_csv(f"{HEADER}\n1,{cell},{cell},{cell},blue\n{LINE}".encode(), MANY_ROWS)
    assert [comparable(row) for row in rows] == [(1.0, None, None, "", "blue"), ROW]
    got = f"{cell!r}, which stands for no value" if cell else "an empty cell"
    assert faults(codec, f"{HEADER}\n{cell},,,,{cell}") == {
        "0.size, cm": f"expected a number within ±3.4028235e+38, got {got}",
        "0.kind": f"expected text of 1 to 1000 characters, got {got}",
    }


@pytest.mark.parametrize("cell", ["NAN", "Null", "none", "n/a", "nil", "-", " NA", " "])
def test_other_cells_are_values_or_faults(codec: Codec, cell: str) -> None:
    assert list(faults(codec, f"{HEADER}\n1,{cell},{cell},{cell},blue")) == ["0.legs", "0.tame"]
    assert codec.decode_csv(f"{HEADER}\n1,,,{cell},{cell}".encode(), MANY_ROWS)[0][3:] == (cell, cell)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"x\n1\n2\n", [1.0, 2.0]),
        (b"x\n1\n\n2", [1.0, None, 2.0]),
        (b'x\r\n""\r\n\r\n1\r\n', [None, None, 1.0]),
        (b"\n\nx\n\n\n", [None, None]),
        (b"x\n", []),
    ],
)
def test_an_empty_line_is_a_row_where_there_is_one_column(body: bytes, values: list[float | None]) -> None:
    """Otherwise all later answers would belong to other rows. The end of the last line begins no row."""
    codec = codec_of([feature("x", "number", nullable=True)])
    assert [comparable(row) for row in codec.decode_csv(body, MANY_ROWS)] == [(value,) for value in values]


def test_an_empty_line_is_a_fault_if_the_one_column_is_not_nullable() -> None:
    codec = codec_of([feature("x", "number")])
    assert faults(codec, "x\n1\n\n2\n") == {"1.x": NUMBER + "an empty cell"}


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        *(("size, cm", cell, 7.0) for cell in ("7", "+7", "007", "7.", "7.0", "0.7e1", "70E-1", "+007.e+0")),
        *(("size, cm", cell, 0.5) for cell in (".5", "+.5", "5e-1")),
        ("size, cm", "-1e-400", 0.0),
        ("size, cm", "1" + "0" * 38, 1e38),
        *(("legs", str(number), number) for number in (0, -1, 2**53, -(2**53))),
        *(("tame", cell, True) for cell in ("true", "TRUE", "True", "tRuE")),
    ],
)
def test_every_spelling_of_a_number_or_boolean_is_read(codec: Codec, column: str, cell: str, value: float) -> None:
    (row,) = codec.decode_csv(line_with(column, cell).encode(), MANY_ROWS)
    read = dict(zip(NAMES, row, strict=True))[column]
    assert (read, type(read)) == (value, type(value))


def test_too_many_rows_are_refused_before_their_cells_are_parsed(codec: Codec) -> None:
    body = f"{HEADER}\n{LINE}\n{LINE}\n".encode()
    assert codec.decode_csv(body, 2) == [ROW, ROW]
    with pytest.raises(BodyTooLargeError, match=r"^expected at most 2 rows at once, got more$"):
        codec.decode_csv(body + b"x,\n", 2)


INTEGER = "expected a whole number within ±9007199254740992 or null, got "
NUMBER = "expected a number within ±3.4028235e+38, got "
BOOLEAN = "expected true or false or null, got "


@pytest.mark.parametrize(
    ("column", "cell", "fault"),
    [
        *(
            ("size, cm", cell, NUMBER)
            for cell in (
                "x",
                "NAN",
                "inf",
                "-Infinity",
                "1e39",
                "1e400",
                "0x10",
                "1_000",
                "4,5",
                "true",
                "٤",
                " ",
                " 1",
                ".",
            )
        ),
        *(
            ("legs", cell, INTEGER)
            for cell in (
                "3.0",
                "1e3",
                "9007199254740993",
                "-9007199254740993",
                "9" * 5000,
                "007",
                "+7",
                "-0",
                "four",
                " 1",
            )
        ),
        *(("tame", cell, BOOLEAN) for cell in ("1", "0", "yes", "t", "tru", '"true"')),
        ("colour", "x" * 1001, "expected text of 1 to 1000 characters or null, got "),
    ],
)
def test_an_invalid_cell_is_refused_and_named_by_row_and_column(
    codec: Codec, column: str, cell: str, fault: str
) -> None:
    shown = repr(cell) if len(repr(cell)) <= 64 else repr(cell)[:64] + "..."
    assert faults(codec, line_with(column, cell, f"{LINE}\n")) == {f"1.{column}": fault + shown}


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("legs,tame,colour,kind", {"size, cm": "missing: expected a number"}),
        (
            HEADER.replace("tame", "wild"),
            {"tame": "missing: expected true or false or null", "wild": "unknown feature"},
        ),
        (HEADER + ",Id", {"Id": "unknown feature"}),
        (HEADER + ",", {"": "unknown feature"}),
        (HEADER + ",legs,legs", {"legs": "given more than once"}),
        (HEADER + "," + "x" * 100, {"x" * 64 + "...": "unknown feature"}),
    ],
)
def test_each_column_of_a_header_that_does_not_fit_is_named(codec: Codec, header: str, fields: dict[str, str]) -> None:
    with pytest.raises(InvalidRowError, match=r"^the header does not fit the model's signature$") as refused:
        codec.decode_csv(header.encode(), MANY_ROWS)
    assert refused.value.fields == fields


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "expected CSV with a header, got nothing"),
        (b"\xef\xbb\xbf\r\n\r\n", "expected CSV with a header, got nothing"),
        (f"{HEADER}\n{LINE}\n1,2,true,red\n".encode(), "row 1 has 4 cells, the header has 5"),
        (f"{HEADER}\n{LINE},\n".encode(), "row 0 has 6 cells, the header has 5"),
        (f'{HEADER}\n1,2,true,"red'.encode(), "the body is not CSV: unexpected end of data"),
        (f'{HEADER}\n1,2,true,"red"x,blue'.encode(), "the body is not CSV: ',' expected after '\"'"),
        (f"{HEADER}\n{'x' * 200_000}".encode(), "the body is not CSV: field larger than field limit (131072)"),
        (HEADER.encode() + b"\n1,2,true,\xff,blue", "the body is not UTF-8: invalid start byte at byte 42"),
        (f"{HEADER}\n{LINE}".encode("utf-16"), "the body is not UTF-8: invalid start byte at byte 0"),
    ],
    ids=[
        "nothing",
        "no lines",
        "too few",
        "too many",
        "no closing quote",
        "text behind a quote",
        "long",
        "latin-1",
        "utf-16",
    ],
)
def test_a_body_that_is_not_csv_is_malformed(codec: Codec, body: bytes, error: str) -> None:
    with pytest.raises(MalformedBodyError) as refused:
        codec.decode_csv(body, MANY_ROWS)
    assert str(refused.value) == error


def test_only_the_first_twenty_faults_are_named(codec: Codec) -> None:
    with pytest.raises(InvalidRowError, match="the first 20 faults are named") as refused:
        codec.decode_csv((HEADER + "\nx,x,x,,\n" * 1000).encode(), MANY_ROWS)
    assert len(refused.value.fields) == 20
    assert list(refused.value.fields)[:5] == ["0.size, cm", "0.legs", "0.tame", "0.kind", "1.size, cm"]
