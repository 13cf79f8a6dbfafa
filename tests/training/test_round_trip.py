"""A table that is written, and any part of one, is read again as it was, to the bit."""

import attrs
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.contract.types import MAX_FP32, MISSING, Type
from training.dataset import Dataset, read_dataset

# A byte order mark at the beginning of a file is no part of its first name.
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1, max_size=6)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)
CELLS: dict[Type, st.SearchStrategy[str]] = {
    "number": st.one_of(
        st.floats(-MAX_FP32, MAX_FP32).map(repr), st.integers(-(2**70), 2**70).map(str), st.just("+007"), st.just(".5")
    ),
    "integer": st.integers(1 - 2**53, 2**53 - 1).map(str),
    "boolean": st.sampled_from(["true", "false", "True", "FALSE"]),
    "category": st.one_of(TEXTS, st.integers().map(str), st.sampled_from(["true", 'a "b"', "c,\r\nd", "\n", " "])),
}
NOTHING = st.sampled_from(sorted(MISSING))


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Draws cells of every kind, those of the features missing here and there, the target last."""
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    rows = draw(st.integers(1, 8))
    columns: dict[str, list[str]] = {}
    for name in names:
        present = CELLS[draw(st.sampled_from(sorted(CELLS)))].filter(lambda cell: cell not in MISSING)
        cells = present if name == names[-1] else st.one_of(present, NOTHING)
        columns[name] = [draw(present), *draw(st.lists(cells, min_size=rows, max_size=rows))]
    return pd.DataFrame(columns)


def assert_same(read: Dataset, written: Dataset) -> None:
    assert (read.columns, read.task) == (written.columns, written.task)
    assert read.target.tolist() == written.target.tolist()
    for name, values in written.features.items():
        again = read.features[name]
        assert again.dtype == values.dtype
        if values.dtype == object:
            assert again.tolist() == values.tolist()
        else:
            assert again.to_numpy().tobytes() == values.to_numpy().tobytes()


@settings(max_examples=30, deadline=None)
@given(table=tables(), data=st.data())
def test_a_table_and_any_part_of_it_written_and_read_again_are_the_same_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame, data: st.DataObject
) -> None:
    source = tmp_path_factory.getbasetemp() / "round_trip.csv"
    source.write_bytes(table.to_csv(index=False, lineterminator="\r\n").encode())
    target = str(table.columns[-1])
    written = read_dataset(source, target, name="table")
    source.write_bytes(written.to_csv())
    again = read_dataset(source, target, name="table")
    assert_same(again, written)
    assert again.to_csv() == written.to_csv()

    rows = data.draw(st.lists(st.sampled_from(range(len(table))), min_size=1, unique=True))
    source.write_bytes(written.to_csv(rows))
    part = read_dataset(source, target, name="table", task=written.task, kinds=written.kinds())
    kept = attrs.evolve(
        written,
        features=written.features.iloc[rows],
        target=written.target.iloc[rows],
        columns=tuple(
            attrs.evolve(column, missing=cells.missing)
            for column, cells in zip(written.columns, part.columns, strict=True)
        ),
    )
    assert_same(part, kept)
    assert part.to_csv() == written.to_csv(rows)
