"""Tables are read whole and exactly, or refused with the cell at fault."""

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import IRIS_CSV
from training.dataset import MISSING, Column, Dataset, read_dataset
from training.errors import TrainingError

Read = Callable[..., Dataset]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


@pytest.fixture
def read(source: Path) -> Read:
    def read(content: str | bytes, target: str = "y", **options: Any) -> Dataset:
        source.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_dataset(source, target, name="table", **options)

    return read


def test_iris_has_four_numeric_features_and_a_categorical_target(iris: Dataset) -> None:
    assert iris.name == "iris"
    assert [(column.name, column.kind) for column in iris.columns] == [
        ("SepalLengthCm", "numeric"),
        ("SepalWidthCm", "numeric"),
        ("PetalLengthCm", "numeric"),
        ("PetalWidthCm", "numeric"),
        ("Species", "categorical"),
    ]
    assert iris.features.shape == (150, 4)
    assert iris.target.value_counts().to_dict() == {"Iris-setosa": 50, "Iris-versicolor": 50, "Iris-virginica": 50}


@pytest.mark.parametrize(
    "content",
    [
        "a,y\n1,x\n2.5,z\n",
        "a,y\n1,x\n2.5,z",
        "\ufeffa,y\n1,x\n2.5,z\n",
        "a,y\r\n1,x\r\n2.5,z\r\n",
        "a,y\r1,x\r2.5,z\r",
        '"a","y"\n"1","x"\n"2.5","z"\n',
        "\na,y\n\n1,x\n\n\n2.5,z\n\n",
    ],
    ids=["plain", "no last line end", "BOM", "CRLF", "CR", "quoted", "empty lines"],
)
def test_a_table_is_the_same_however_its_csv_is_written(read: Read, content: str) -> None:
    dataset = read(content)
    assert dataset.features.to_dict("list") == {"a": [1.0, 2.5]}
    assert dataset.target.tolist() == ["x", "z"]
    assert dataset.columns == (Column("a", "numeric", 0), Column("y", "categorical", 0))
    assert dataset.sha256() == hashlib.sha256(b"a,y\r\n1.0,x\r\n2.5,z\r\n").hexdigest()


@pytest.mark.parametrize("name", ["sepal length (cm)", "a:b", 'say "a"', "Länge, größte", "花弁", "self", " a ", "0"])
def test_a_column_may_have_any_name(read: Read, name: str) -> None:
    quoted = name.replace('"', '""')
    assert list(read(f'"{quoted}",y\n1,x\n').features.columns) == [name]
    assert read(f'a,"{quoted}"\n1,x\n', name).target.name == name
    assert read(f'"{quoted}",a,y\n1,2,x\n', drop=[name]).to_csv() == b"a,y\r\n2.0,x\r\n"


def test_labels_may_hold_commas_quotes_and_line_ends(read: Read) -> None:
    labels = ["a,b", 'say "c"', "d\ne", "f\rg", "h\r\ni", "\x00"]
    rows = "".join(f'1,"{label.replace(chr(34), 2 * chr(34))}"\n' for label in labels)
    first = read(f"a,y\n{rows}")
    assert first.target.tolist() == labels
    assert read(first.to_csv()).target.tolist() == labels


@pytest.mark.parametrize("cell", ["5", "-5", "+5", "5.", ".5", "5e3", "5E-3", "17", "0.1", "1e-400", "-0.0"])
def test_a_decimal_number_is_read_as_python_reads_it(read: Read, cell: str) -> None:
    value = read(f"a,y\n{cell},x\n").features["a"].iloc[0]
    assert np.float64(value).tobytes() == np.float64(float(cell)).tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{source}: expected a header, found nothing"),
        (b"\xef\xbb\xbf", "{source}: expected a header, found nothing"),
        (b"\n\n", "{source}: expected a header, found nothing"),
        (b"a,y\n", "{source}: a header and no rows"),
        (b"a,a,y\n1,2,x\n", "{source}: the header has 'a' twice"),
        (b"a,,y\n1,2,x\n", "{source}: the header has a column without a name"),
        (b"a,y\n1,x\n2,z,3\n", "{source}: row 2 has 3 cells, the header has 2"),
        (b"a,y\n1,x,\n2,z,\n", "{source}: row 1 has 3 cells, the header has 2"),
        (b"a,y\n1,x\n2\n", "{source}: row 2 has 1 cells, the header has 2"),
        (b"a,y\n1,x\n \n", "{source}: row 2 has 1 cells, the header has 2"),
        (b"a,y\n1,\xff\n", "{source}: not UTF-8: invalid start byte at byte 6"),
        (b"a,y\n" + b"1,x\n" * 9999 + b"1,\xff\n", "{source}: not UTF-8: invalid start byte at byte 40002"),
        (b'a,y\n1,x\n2,"z\n', "{source}: not a CSV table: line 3: unexpected end of data"),
        (b'a,y\n"1"5,x\n', "{source}: not a CSV table: line 2: ',' expected after '\"'"),
        (b"a,b\n1,2\n", "{source}: no column 'y'; it has 'a', 'b'"),
        (b"y\nx\n", "{source}: no column is left to learn 'y' from"),
    ],
)
def test_what_is_no_table_is_refused_with_the_place_at_fault(
    read: Read, source: Path, content: bytes, message: str
) -> None:
    with pytest.raises(TrainingError) as refusal:
        read(content)
    assert str(refusal.value) == message.format(source=source)


ONLY_NUMERIC = "only numeric features can be handled yet; leave it out with --drop"
NONE_MISSING = "missing values cannot be handled yet; leave it out with --drop"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", "red", "2"], f"column 'a' is categorical (row 2: 'red'): {ONLY_NUMERIC}"),
        (["", "red", "2"], f"column 'a' is categorical (row 2: 'red'): {ONLY_NUMERIC}"),
        (["1_000", "2"], f"column 'a' is categorical (row 1: '1_000'): {ONLY_NUMERIC}"),
        (["1", "٣"], f"column 'a' is categorical (row 2: '٣'): {ONLY_NUMERIC}"),
        (["1", "inf"], f"column 'a' is categorical (row 2: 'inf'): {ONLY_NUMERIC}"),
        (["1", " 2"], f"column 'a' is categorical (row 2: ' 2'): {ONLY_NUMERIC}"),
        (["0x1"], f"column 'a' is categorical (row 1: '0x1'): {ONLY_NUMERIC}"),
        (["True", "false"], f"column 'a' is boolean (row 1: 'True'): {ONLY_NUMERIC}"),
        (["1", "1e999"], "column 'a', row 2: '1e999' is beyond a float64"),
        (["-1e999", "1"], "column 'a', row 1: '-1e999' is beyond a float64"),
        *(
            (["1", cell, "2", cell], f"column 'a' has 2 missing values, the first in row 2: {NONE_MISSING}")
            for cell in sorted(MISSING)
        ),
        (["", ""], f"column 'a' has 2 missing values, the first in row 1: {NONE_MISSING}"),
    ],
)
def test_a_feature_that_is_not_all_numbers_is_refused_by_name(read: Read, cells: list[str], message: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        read("a,y\n" + "".join(f"{cell},x\n" for cell in cells))
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["x", ""], "the target 'y' has 1 missing values, the first in row 2"),
        (["1", "NaN", "NA"], "the target 'y' has 2 missing values, the first in row 2"),
        (["1", "2.5"], "the target 'y' is numeric: expected classes as text or whole numbers"),
        (["1", "2.0"], "the target 'y' is numeric: expected classes as text or whole numbers"),
        (["true", "FALSE"], "the target 'y' is boolean: expected classes as text or whole numbers"),
        (["1", str(2**63)], "the target 'y' has whole numbers beyond an int64"),
        (["1", "9" * 5000], "the target 'y' has whole numbers beyond an int64"),
    ],
)
def test_a_target_that_is_no_classes_is_refused_by_name(read: Read, cells: list[str], message: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        read("a,y\n" + "".join(f"1,{cell}\n" for cell in cells))
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["0", "1", "-7"], [0, 1, -7]),
        ([str(2**63 - 1), str(-(2**63))], [2**63 - 1, -(2**63)]),
        (["1_000", "2_000"], ["1_000", "2_000"]),
        (["1", "2", "three"], ["1", "2", "three"]),
        (["7", "007"], ["7", "007"]),
        (["0", "-0"], ["0", "-0"]),
        (["true", "maybe"], ["true", "maybe"]),
    ],
)
def test_labels_are_whole_numbers_or_the_text_as_it_stands(
    read: Read, cells: list[str], labels: list[int | str]
) -> None:
    assert read("a,y\n" + "".join(f"1,{cell}\n" for cell in cells)).target.tolist() == labels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "Kind"}, "{source}: no column 'Kind'; it has 'a', 'b', 'y'"),
        ({"drop": ["a", "Id"]}, "{source}: no column 'Id'; it has 'a', 'b', 'y'"),
        ({"drop": ["y"]}, "'y' is both the target and dropped"),
        ({"drop": ["a", "b"]}, "{source}: no column is left to learn 'y' from"),
    ],
)
def test_columns_that_cannot_be_chosen_are_refused(
    read: Read, source: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError) as refusal:
        read("a,b,y\n1,2,x\n", **options)
    assert str(refusal.value) == message.format(source=source)


def test_a_file_that_is_not_there_is_refused_by_its_path(tmp_path: Path) -> None:
    for source in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(TrainingError) as refusal:
            read_dataset(source, "y", name="table")
        assert str(refusal.value) == f"expected a file, found none at {source}"


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), min_size=1, max_size=6)
WORDS = NAMES.filter(lambda word: word not in MISSING and not word[0].isdecimal() and word[0] not in "+-.tTfF")
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(
    names=st.lists(NAMES, min_size=2, max_size=4, unique=True),
    labels=st.one_of(st.lists(WORDS, min_size=1), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)),
    data=st.data(),
)
def test_a_table_written_and_read_again_is_the_same_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], labels: list[int | str], data: st.DataObject
) -> None:
    count = len(labels)
    columns = {name: data.draw(st.lists(FLOATS, min_size=count, max_size=count)) for name in names[1:]}
    written = Dataset("table", pd.DataFrame(columns), pd.Series(labels, name=names[0]), ())
    source = tmp_path_factory.getbasetemp() / "round_trip.csv"
    source.write_bytes(written.to_csv())
    again = read_dataset(source, names[0], name="table")
    assert list(again.features.columns) == names[1:]
    assert again.features.to_numpy().tobytes() == written.features.to_numpy().tobytes()
    assert again.target.tolist() == labels
    assert again.sha256() == written.sha256()


def test_chosen_rows_are_written_in_the_order_asked_for(read: Read) -> None:
    assert read("a,y\n1,x\n2,y\n3,z\n").to_csv([2, 0]) == b"a,y\r\n3.0,z\r\n1.0,x\r\n"


@pytest.mark.parametrize(
    ("cells", "counts"),
    [
        (["1", "2", "3"], True),
        (["0", "1", "2"], True),
        (["-7", "-6"], True),
        (["1000000", "1000001", "1000002"], True),
        (["1", "2", "4"], False),
        (["1", "2", "2"], False),
        (["3", "2", "1"], False),
        (["2", "4", "6"], False),
        (["1"], False),
    ],
)
def test_a_feature_counts_the_rows_where_each_row_is_one_more_than_the_last(
    read: Read, cells: list[str], *, counts: bool
) -> None:
    dataset = read("a,b,y\n" + "".join(f"{cell},5,x\n" for cell in cells))
    assert dataset.row_counters() == (["a"] if counts else [])


def test_every_feature_that_counts_the_rows_is_named_but_not_the_target(read: Read) -> None:
    assert read("Id,a,n,y\n1,5,7,1\n2,6,8,2\n3,6,9,3\n").row_counters() == ["Id", "n"]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "tables #1?.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute('CREATE TABLE "my ""odd"" table" ("a b" REAL, n INTEGER, y TEXT)')
        connection.execute("""INSERT INTO "my ""odd"" table" VALUES (0.1, 9007199254740993, 'x'), (2, 2, 'z')""")
        connection.execute("CREATE VIEW gaps AS SELECT NULL AS a, 'x' AS y")
        connection.execute('CREATE TABLE nameless ("" REAL, y TEXT)')
        connection.execute("CREATE TABLE bare (a REAL, y TEXT)")
        connection.execute("CREATE TABLE bytes (a REAL, y TEXT)")
        connection.execute("INSERT INTO bytes VALUES (1, CAST(x'ff' AS TEXT))")
    return path


def test_a_table_of_sqlite_is_read_as_the_same_csv_is(read: Read, database: Path) -> None:
    stored = read_dataset(database, "y", name="table", table='my "odd" table')
    assert stored.to_csv() == read("a b,n,y\n0.1,9007199254740993,x\n2,2,z\n").to_csv()
    numbers = read_dataset(database, "n", name="table", table='my "odd" table', drop=["y"])
    assert numbers.target.tolist() == [9007199254740993, 2]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("other", "{database}: no table 'other'; it has 'my \"odd\" table', 'gaps', 'nameless', 'bare', 'bytes'"),
        ("nameless", "{database}: the header has a column without a name"),
        ("bare", "{database}: a header and no rows"),
        ("gaps", "column 'a' has 1 missing values, the first in row 1: missing values cannot be handled yet"),
        ("bytes", "{database}: not an SQLite database that can be read: "),
    ],
)
def test_a_table_of_sqlite_that_cannot_be_used_is_refused(database: Path, table: str, message: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        read_dataset(database, "y", name="table", table=table)
    assert str(refusal.value).startswith(message.format(database=database))


def test_a_file_that_is_no_database_or_has_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not an SQLite database that can be read: file is not a database$"):
        read_dataset(IRIS_CSV, "Species", name="iris", table="iris")
    (tmp_path / "empty.sqlite").touch()
    with pytest.raises(TrainingError, match=r"empty\.sqlite: no table 'iris'; it has none$"):
        read_dataset(tmp_path / "empty.sqlite", "Species", name="iris", table="iris")


def test_an_sqlite_file_whose_table_is_not_named_is_refused_with_the_way_to_name_it(database: Path) -> None:
    with pytest.raises(TrainingError) as refusal:
        read_dataset(database, "y", name="table")
    assert str(refusal.value) == f"{database}: an SQLite file; name one of its tables with --table"
