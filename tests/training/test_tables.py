"""Files are read whole and exactly, or refused with the place at fault, and never at the cost of the memory."""

import contextlib
import functools
import os
import resource
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

import training.cli
from tests.support.forked import end, fork
from tests.support.workshop import IRIS_CSV
from tests.training.conftest import Read
from training.dataset import read_dataset
from training.errors import TrainingError
from training.tables import MAX_LINE_CHARS

LITTLE_MEMORY_BYTES = 96 * 2**20
CELL_CHARS = 131_072
"""The longest cell that Python's csv module reads (csv.field_size_limit)."""
NOT_UTF_8 = "has bytes that are not UTF-8; if the file is Latin-1, `iconv -f latin1 -t utf-8` converts it"


@pytest.mark.parametrize(
    "name", ["sepal length (cm)", "a:b", 'say "a"', "Länge, größte", "花弁", "self", " a ", "0", "a;b", "a\tb"]
)
def test_a_column_may_have_any_name(read: Read, name: str) -> None:
    quoted = name.replace('"', '""')
    assert list(read(f'"{quoted}",y\n1,x\n').features.columns) == [name]
    assert read(f'a,"{quoted}"\n1,x\n', name).target.name == name
    assert read(f'"{quoted}",a,y\n1,2,x\n', drop=[name]).to_csv() == b"a,y\r\n2,x\r\n"


def test_cells_may_hold_commas_quotes_and_line_ends(read: Read) -> None:
    cells = ["a,b", 'say "c"', "d\ne", "f\rg", "h\r\ni", "\u2028", "\x1c"]
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    first = read("a,y\n" + "".join(f"{cell},{cell}\n" for cell in quoted))
    assert first.target.tolist() == cells
    assert first.features["a"].tolist() == cells
    assert read(first.to_csv()).target.tolist() == cells


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{source}: expected a header, found nothing"),
        (b"\xef\xbb\xbf", "{source}: expected a header, found nothing"),
        (b"\n\n", "{source}: expected a header, found nothing"),
        (b"a,y\n", "{source}: a header and no rows"),
        (b"a,a,y\n1,2,x\n", "{source}: the header has 'a' twice"),
        (b"a,,y\n1,2,x\n", "{source}: the header has a column without a name"),
        (b"a\0,y\n1,x\n", "{source}: the header's 'a\\x00' has a NUL character"),
        (b"\xffa,y\n1,x\n", "{source}: the header's '\\udcffa' {latin}"),
        (b"a,y\n1,x\n2,z,3\n", "{source}: row 2 has 3 cells, the header has 2"),
        (b"a,y\n1,x,\n2,z,\n", "{source}: row 1 has 3 cells, the header has 2"),
        (b"a,y\n1,x\n2\n", "{source}: row 2 has 1 cells, the header has 2"),
        (b"a,y\n1,x\n \n", "{source}: row 2 has 1 cells, the header has 2"),
        (b"a,y\n1,\xff\n", "{source}: row 1, column 'y': '\\udcff' {latin}"),
        (
            b"a,y\n" + b"1,x\n" * 9999 + b"caf\xe9,x\n",
            "{source}: row 10000, column 'a': 'caf\\udce9' {latin}",
        ),
        (b"a,y\n1,\xed\xa0\x80\n", "{source}: row 1, column 'y': '\\udced\\udca0\\udc80' {latin}"),
        (b"a,y\n1,x\n2,z\0\n", "{source}: row 2, column 'y': 'z\\x00' has a NUL character"),
        (b'a,y\n1,x\n2,"z\n', "{source}: not a CSV table: line 3: unexpected end of data"),
        (b'a,y\n"1"5,x\n', "{source}: not a CSV table: line 2: ',' expected after '\"'"),
        (b'a,"y\n1,x\n', "{source}: not a CSV table: line 2: unexpected end of data"),
        (b"a,b\n1,2\n", "{source}: no column 'y'; it has 'a', 'b'"),
        (
            b"a;y\n1,5;x\n",
            "{source}: the header has one column; the file seems to be separated by ';', expected commas",
        ),
        (
            b"a\ty\n1\tx\n",
            "{source}: the header has one column; the file seems to be separated by a tab, expected commas",
        ),
        (
            b"size, m2;y\n1,5;x\n",
            "{source}: no column 'y'; it has 'size', ' m2;y'; the file seems to be separated by ';', expected commas",
        ),
        (
            b"size, m2\ty\n1\tx\n",
            "{source}: row 1 has 1 cells, the header has 2; the file seems to be separated by a tab, expected commas",
        ),
        (b"y\nx\n", "{source}: no column is left to learn 'y' from"),
    ],
)
def test_what_is_no_table_is_refused_with_the_place_at_fault(
    read: Read, source: Path, content: bytes, message: str
) -> None:
    with pytest.raises(TrainingError) as refusal:
        read(content)
    assert str(refusal.value) == message.format(source=source, latin=NOT_UTF_8)


def test_a_file_that_is_not_there_or_is_no_file_is_refused_by_its_path(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless")
    for source in (tmp_path / "none.csv", tmp_path, tmp_path / "endless"):
        with pytest.raises(TrainingError) as refusal:
            read_dataset(source, "y", name="table")
        assert str(refusal.value) == f"expected a file, found none at {source}"


def test_lines_and_cells_may_be_as_long_as_they_may_and_no_longer(read: Read, source: Path) -> None:
    cell = "ä" * CELL_CHARS
    assert read(f"a,y\n{cell},x\n").features["a"].tolist() == [cell]
    with pytest.raises(TrainingError) as refusal:
        read(f"a,y\n1,x\n{cell}ä,x\n")
    assert str(refusal.value) == f"{source}: not a CSV table: line 3: field larger than field limit ({CELL_CHARS})"
    header, cells = "a,b,c,d,e,f,g,h,y\n", [letter * (MAX_LINE_CHARS // 8 - 2) for letter in "abcdefgh"]
    assert read(f"{header}{','.join(cells)},{'y' * 7}\n").target.tolist() == ["y" * 7]
    with pytest.raises(TrainingError) as refusal:
        read(f"{header}{','.join(cells)},{'y' * 8}\n", drop=list("abcdefgh"))
    assert str(refusal.value) == f"{source}: not a CSV table: line 2 has more than {MAX_LINE_CHARS} characters"


def train_in_little_memory(arguments: Sequence[str]) -> int:
    """Train with hardly more memory than what the process has already, and keeps what it says in a file."""
    source, told = arguments
    now_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now_bytes + LITTLE_MEMORY_BYTES, resource.RLIM_INFINITY))
    with Path(told).open("w") as file, contextlib.redirect_stderr(file):
        return training.cli.main(["train", source, "y"])


def write_nothing_of_2_gb(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**31)


def write_nothing_of_2_gb_after_a_header(path: Path) -> None:
    path.write_bytes(b"a,y\n1,x\n")
    os.truncate(path, 2**31)


def write_a_line_of_50_mb(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"a,y\n1,")
        file.writelines(b"x" * 2**20 for _ in range(50))


def write_cells_of_50_mb_in_a_line(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"a,y\n1")
        file.writelines(b",x" * 2**19 for _ in range(50))


def write_an_open_quote_before_50_mb(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b'a,y\n1,x\n2,"x\n')
        file.writelines(b"1,x\n" * 2**18 for _ in range(50))


TOO_LONG = f"has more than {MAX_LINE_CHARS} characters"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        pytest.param(write_nothing_of_2_gb, f"line 1 {TOO_LONG}", marks=pytest.mark.slow),
        pytest.param(write_nothing_of_2_gb_after_a_header, f"line 3 {TOO_LONG}", marks=pytest.mark.slow),
        (write_a_line_of_50_mb, f"line 2 {TOO_LONG}"),
        (write_cells_of_50_mb_in_a_line, f"line 2 {TOO_LONG}"),
        (write_an_open_quote_before_50_mb, f"field larger than field limit ({CELL_CHARS})"),
    ],
    ids=lambda parameter: parameter.__name__ if callable(parameter) else "",
)
def test_a_line_or_a_quote_without_end_is_refused_in_little_memory(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path / "huge.csv")
    told = tmp_path / "told"
    assert end(fork(train_in_little_memory, str(tmp_path / "huge.csv"), str(told))) == 1
    assert told.read_text().startswith(f"refused: {tmp_path / 'huge.csv'}: not a CSV table: ")
    assert told.read_text().endswith(f"{message}\n")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "tables #1?.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute('CREATE TABLE "my ""odd"" table" ("a b" REAL, n INTEGER, y TEXT)')
        connection.execute("""INSERT INTO "my ""odd"" table" VALUES (0.1, 9007199254740993, 'x'), (2, 2, 'z')""")
        connection.execute(
            "CREATE VIEW gaps AS SELECT NULL AS a, 1 AS b, 'x' AS y UNION ALL VALUES (7, NULL, 'z'), (0, 0, 0)"
        )
        connection.execute("CREATE VIEW unlabelled AS SELECT 1 AS a, NULL AS y")
        connection.execute('CREATE TABLE nameless ("" REAL, y TEXT)')
        connection.execute("CREATE TABLE bare (a REAL, y TEXT)")
        connection.execute("CREATE TABLE bytes (a REAL, y TEXT)")
        connection.execute("INSERT INTO bytes VALUES (1, CAST(x'ff' AS TEXT))")
        connection.execute("CREATE VIEW nul AS SELECT 1 AS a, 'x' || char(0) AS y")
        connection.execute(f"CREATE VIEW long AS SELECT 1 AS a, hex(zeroblob({CELL_CHARS // 2 + 1})) AS y")
    return path


def test_a_table_of_sqlite_is_read_as_the_same_csv_is(read: Read, database: Path) -> None:
    stored = read_dataset(database, "y", name="table", table='my "odd" table')
    assert stored.to_csv() == read("a b,n,y\n0.1,9007199254740993,x\n2,2,z\n").to_csv()
    numbers = read_dataset(database, "n", name="table", table='my "odd" table', drop=["y"])
    assert numbers.target.tolist() == ["9007199254740993", "2"]
    gaps = read_dataset(database, "y", name="table", table="gaps")
    assert gaps.to_csv() == read("a,b,y\n,1,x\n7,,z\n0,0,0\n").to_csv()
    assert gaps.kinds() == {"a": "integer", "b": "integer", "y": "category"}


@pytest.mark.parametrize("declared", ["BOOLEAN", "bool"])
def test_booleans_of_sqlite_are_read_as_such_with_their_gaps_in_tables_and_views(tmp_path: Path, declared: str) -> None:
    path = tmp_path / "flags.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"CREATE TABLE flags (a {declared}, two {declared}, word {declared}, whole INTEGER, gone {declared},"
            f' both {declared} AS (a), self {declared}, "say ""y""" {declared})'
        )
        connection.execute(
            "INSERT INTO flags VALUES (1, 2, 'no', 1, NULL, 0, '1'), (NULL, 1, 1, 0, NULL, 1, 0),"
            " (0, 0, 0, 1, NULL, 1, 1.0)"
        )
        connection.execute("CREATE VIEW seen AS SELECT a, a + 0 AS computed, whole FROM flags")
    read = functools.partial(read_dataset, path, name="flags")
    kinds = {"a": "boolean", "two": "integer", "word": "category", "whole": "integer", "both": "boolean"}
    kinds |= {"self": "boolean", 'say "y"': "boolean"}
    stored = read('say "y"', table="flags", drop=["gone"])
    assert stored.kinds() == kinds
    assert stored.to_csv().splitlines()[1:] == [
        b"true,2,no,1,true,false,true",
        b",1,1,0,,true,false",
        b"false,0,0,1,false,true,true",
    ]
    assert read("whole", table="seen").kinds() == {"a": "boolean", "computed": "integer", "whole": "integer"}
    with pytest.raises(TrainingError, match="'gone' has no value in any row"):
        read("a", table="flags")


def test_no_separator_is_blamed_for_the_names_of_an_sqlite_table(tmp_path: Path) -> None:
    path = tmp_path / "odd.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute('CREATE TABLE odd ("a;b" REAL)')
    with pytest.raises(TrainingError, match=r"no column 'y'; it has 'a;b'$"):
        read_dataset(path, "y", name="odd", table="odd")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("nameless", "{database}: the header has a column without a name"),
        ("bare", "{database}: a header and no rows"),
        ("unlabelled", "the target 'y' has 1 missing values, the first in row 1"),
        ("bytes", "{database}: not an SQLite database that can be read: "),
        ("nul", "{database}: row 1, column 'y': 'x\\x00' has a NUL character"),
        (
            "long",
            f"{{database}}: row 1, column 'y': '{'0' * 64}' has more than {CELL_CHARS} characters",
        ),
    ],
)
def test_a_table_of_sqlite_that_cannot_be_used_is_refused(database: Path, table: str, message: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        read_dataset(database, "y", name="table", table=table)
    assert str(refusal.value).startswith(message.format(database=database))


def test_a_table_that_is_not_there_is_refused_with_those_that_are(database: Path) -> None:
    with pytest.raises(TrainingError) as refusal:
        read_dataset(database, "y", name="table", table="other")
    found = ['my "odd" table', "gaps", "unlabelled", "nameless", "bare", "bytes", "nul", "long"]
    assert str(refusal.value) == f"{database}: no table 'other'; it has {', '.join(map(repr, found))}"


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
