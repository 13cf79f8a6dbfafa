"""Columns that spoil a model are warned of by name before anything is fitted; one that equals the target is refused."""

import pytest

from tests.training.conftest import Read
from training.dataset import Dataset
from training.errors import TrainingError
from training.quality import check_quality

IDENTIFIER = "if it is an identifier, leave it out with --drop"


def table(*columns: list[str], names: str = "aby") -> str:
    """Write columns as CSV."""
    return "\n".join(",".join(row) for row in zip(*map(list.__add__, [[name] for name in names], columns), strict=True))


def test_a_table_that_is_sound_but_for_a_repeated_flower_is_told_so(iris: Dataset) -> None:
    assert check_quality(iris) == [
        "rows that repeat the features of another: 1; they are kept on the same side of the split"
    ]


@pytest.mark.parametrize(
    ("cells", "shown"),
    [(["5", "5"], "5"), (["0.5", ".5"], "0.5"), (["true", "TRUE"], "true"), (["red", "red"], "red")],
)
def test_a_feature_of_one_value_is_named_with_it(read: Read, cells: list[str], shown: str) -> None:
    warnings = check_quality(read(table(cells, ["1", "5"], ["x", "z"])))
    assert warnings == [f"column 'a' has one value only, {shown!r}: it tells nothing"]


@pytest.mark.parametrize("missing", [["5", ""], ["red", ""]])
def test_a_feature_of_one_value_and_nothing_is_not_constant(read: Read, missing: list[str]) -> None:
    warnings = check_quality(read(table([*missing, missing[0]], ["1", "5", "7"], ["x", "z", "z"])))
    assert not any("one value" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("cells", "counts"),
    [
        (["1", "2", "3"], True),
        (["0", "1", "2"], True),
        (["-7", "-6", "-5"], True),
        (["1000000", "1000001", "1000002"], True),
        (["1.5", "2.5", "3.5"], True),
        (["1", "2", "4"], False),
        (["1", "2", "2"], False),
        (["3", "2", "1"], False),
        (["2", "4", "6"], False),
        (["1", "", "3"], False),
    ],
)
def test_a_feature_counts_the_rows_where_each_row_is_one_more_than_the_last(
    read: Read, cells: list[str], *, counts: bool
) -> None:
    warnings = check_quality(read(table(cells, ["5", "5", "7"], ["x", "z", "z"])))
    assert warnings == [f"column 'a' counts the rows; {IDENTIFIER}"] * counts


def test_every_feature_that_counts_the_rows_is_named_but_not_the_target(read: Read) -> None:
    warnings = check_quality(read("Id,a,n,y\n1,5,7,2\n2,6,8,3\n3,6,9,4\n"))
    assert warnings == [f"column 'Id' counts the rows; {IDENTIFIER}", f"column 'n' counts the rows; {IDENTIFIER}"]


@pytest.mark.parametrize(("cells", "told"), [(["p", "q", "r", "p"], True), (["p", "q", "p", "p"], False)])
def test_a_feature_of_many_different_texts_is_named(read: Read, cells: list[str], *, told: bool) -> None:
    warnings = check_quality(read(table(cells, ["1", "5", "7", "3"], ["x", "z", "x", "z"])))
    assert warnings == [f"column 'a' has 3 different texts in 4 rows; {IDENTIFIER}"] * told


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["1", "2.5", "red", "-3e5"], "3 of its 4 values are numbers, but not 'red' in row 3"),
        (["", "1", "NA", "2", " 7", "?"], None),
        (["", "1", "NA", "2", " 7", "3"], "3 of its 4 values are numbers, but not ' 7' in row 5"),
        (["true", "1", "2"], "2 of its 3 values are numbers, but not 'true' in row 1"),
        (["1", "2", "red", "blue"], None),
        (["1", "red", "blue"], None),
    ],
)
def test_a_column_that_a_few_cells_make_text_of_is_named_with_the_first(
    read: Read, cells: list[str], told: str | None
) -> None:
    others = [str(number * number) for number in range(len(cells))]
    labels = ["x", "z"] * len(cells)
    warnings = [
        warning for warning in check_quality(read(table(cells, others, labels[: len(cells)]))) if "taken" in warning
    ]
    assert warnings == ([f"column 'a' is taken for text: {told}"] if told else [])


def test_a_target_that_a_few_cells_make_text_of_is_named_too(read: Read) -> None:
    warnings = check_quality(read("a,y\n1,1.5\n5,high\n7,2.5\n3,1.5\n"))
    assert warnings == ["column 'y' is taken for text: 3 of its 4 values are numbers, but not 'high' in row 2"]
    assert check_quality(read("a,y\n1,007\n5,7\n7,7\n")) == []


@pytest.mark.parametrize(
    ("feature", "target"),
    [
        (["x", "z", "x"], ["x", "z", "x"]),
        (["1", "2", "1"], ["1", "2", "1"]),
        (["1.0", "2", "1"], ["1", "2", "1"]),
        (["1.5", "2", "1"], ["1.5", "2.0", "1"]),
        (["true", "FALSE", "true"], ["True", "false", "true"]),
        (["1", "0", "1"], ["true", "false", "true"]),
        (["7", "007", "8"], ["7", "007", "8"]),
    ],
)
def test_a_feature_that_equals_the_target_is_refused_by_name(read: Read, feature: list[str], target: list[str]) -> None:
    dataset = read(table(["1", "5", "7"], feature, target))
    with pytest.raises(TrainingError) as refusal:
        check_quality(dataset)
    assert str(refusal.value) == (
        "column 'b' equals the target 'y' in every row: nothing would be learned; leave it out with --drop"
    )


@pytest.mark.parametrize(
    ("feature", "target"),
    [
        (["x", "z", ""], ["x", "z", "x"]),
        (["1", "2", ""], ["1", "2", "1"]),
        (["1", "2", "2"], ["1", "2", "1"]),
        (["1", "2", "1"], ["x", "z", "x"]),
        (["x", "z", "x"], ["1", "2", "1"]),
    ],
)
def test_a_feature_that_differs_from_the_target_in_a_row_is_taken(
    read: Read, feature: list[str], target: list[str]
) -> None:
    warnings = check_quality(read(table(["1", "5", "7"], feature, target)))
    assert [warning for warning in warnings if IDENTIFIER not in warning] == []


def test_rows_that_repeat_others_are_counted_missing_values_too(read: Read) -> None:
    warnings = check_quality(read("a,b,y\n1,,x\n5,red,x\n1,,z\n1,red,z\n1,,x\n7,red,x\n9,red,x\n"))
    assert warnings == ["rows that repeat the features of another: 2; they are kept on the same side of the split"]
