"""Columns are typed as a whole and never in silence; what cannot be learned from is refused by name."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.contract.types import MAX_FP32, MISSING, Type
from tests.training.conftest import Read
from training.columns import Column
from training.dataset import MAX_INTEGER_CLASSES, Dataset, Task
from training.errors import TrainingError


def test_iris_has_four_features_of_numbers_and_a_target_of_three_classes(iris: Dataset) -> None:
    assert (iris.name, iris.task) == ("iris", "classification")
    assert iris.kinds() == {
        "SepalLengthCm": "number",
        "SepalWidthCm": "number",
        "PetalLengthCm": "number",
        "PetalWidthCm": "number",
        "Species": "category",
    }
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
    assert dataset.columns == (Column("a", "number", 0), Column("y", "category", 0))
    assert dataset.sha256() == hashlib.sha256(b"a,y\r\n1.0,x\r\n2.5,z\r\n").hexdigest()


@pytest.mark.parametrize("cell", ["5.", "-5.5", "+5", "0.0", ".5", "5e3", "5E-3", "017", "0.1", "1e-400", "-0", "-0.0"])
def test_a_decimal_number_is_read_as_python_reads_it(read: Read, cell: str) -> None:
    dataset = read(f"a,y\n{cell},x\n")
    assert dataset.kinds()["a"] == "number"
    assert np.float64(dataset.features["a"].iloc[0]).tobytes() == np.float64(float(cell)).tobytes()


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["0", "-7", "42"], "integer", [0.0, -7.0, 42.0]),
        ([str(2**53 - 1), str(1 - 2**53)], "integer", [2**53 - 1, 1 - 2**53]),
        (["1", str(2**53 + 1)], "number", [1.0, 2.0**53]),
        (["1", "9" * 30], "number", [1.0, 1e30]),
        (["1", "2.5"], "number", [1.0, 2.5]),
        (["7", "007"], "number", [7.0, 7.0]),
        ([f"{MAX_FP32!r}", f"-{MAX_FP32!r}"], "number", [MAX_FP32, -MAX_FP32]),
        (["true", "FALSE", "True"], "boolean", [1.0, 0.0, 1.0]),
        (["red", "Red", " red"], "category", ["red", "Red", " red"]),
        (["true", "1"], "category", ["true", "1"]),
        (["true", "maybe"], "category", ["true", "maybe"]),
        (["1_000", "2"], "category", ["1_000", "2"]),
        (["1", "٣"], "category", ["1", "٣"]),
        (["1", "inf"], "category", ["1", "inf"]),
        (["1", " 2"], "category", ["1", " 2"]),
        (["0x1"], "category", ["0x1"]),
    ],
)
def test_a_feature_is_of_the_one_kind_that_all_its_values_are(
    read: Read, cells: list[str], kind: Type, values: list[object]
) -> None:
    dataset = read("a,y\n" + "".join(f"{cell},x\n" for cell in cells))
    assert dataset.columns[0] == Column("a", kind, 0)
    assert dataset.features["a"].tolist() == values


@pytest.mark.parametrize("cell", sorted(MISSING))
@pytest.mark.parametrize(
    ("present", "kind", "values"),
    [
        ("1", "integer", [np.nan, 1.0]),
        ("1.5", "number", [np.nan, 1.5]),
        ("true", "boolean", [np.nan, 1.0]),
        ("red", "category", ["", "red"]),
    ],
)
def test_a_cell_of_nothing_is_a_missing_value_of_any_kind(
    read: Read, cell: str, present: str, kind: Type, values: list[object]
) -> None:
    dataset = read(f"a,y\n{cell},x\n{present},x\n")
    assert dataset.columns[0] == Column("a", kind, 1)
    np.testing.assert_equal(dataset.features["a"].tolist(), values)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["", "NA"], "column 'a' has no value in any row; leave it out with --drop"),
        (["1", "1e999"], "column 'a', row 2: expected a number within ±3.4028235e+38, got 1e999"),
        (["-1e39", "1"], "column 'a', row 1: expected a number within ±3.4028235e+38, got -1e39"),
        (["", "3.5e38"], "column 'a', row 2: expected a number within ±3.4028235e+38, got 3.5e38"),
        (["1", "9" * 39], f"column 'a', row 2: expected a number within ±3.4028235e+38, got {'9' * 39}"),
    ],
)
def test_a_feature_of_nothing_or_beyond_fp32_is_refused_by_name(read: Read, cells: list[str], message: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        read("a,y\n" + "".join(f"{cell},x\n" for cell in cells))
    assert str(refusal.value) == message


MANY = [str(number) for number in range(MAX_INTEGER_CLASSES + 1)]


@pytest.mark.parametrize(
    ("cells", "kind", "task", "values"),
    [
        (["0", "1", "-7"], "integer", "classification", [0, 1, -7]),
        (MANY[:-1], "integer", "classification", list(range(MAX_INTEGER_CLASSES))),
        (MANY, "integer", "regression", [float(number) for number in range(MAX_INTEGER_CLASSES + 1)]),
        ([*MANY, str(2**53 + 1)], "category", "classification", [*MANY, str(2**53 + 1)]),
        (["true", "FALSE"], "boolean", "classification", [True, False]),
        (["1.5", "2"], "number", "regression", [1.5, 2.0]),
        (["1", "2.0"], "number", "regression", [1.0, 2.0]),
        (["1e300", "1"], "number", "regression", [1e300, 1.0]),
        ([str(2**53), str(2**53 + 1)], "category", "classification", [str(2**53), str(2**53 + 1)]),
        (["9" * 5000, "1"], "category", "classification", ["9" * 5000, "1"]),
        (["1_000", "2_000"], "category", "classification", ["1_000", "2_000"]),
        (["1", "2", "three"], "category", "classification", ["1", "2", "three"]),
        (["7", "007"], "category", "classification", ["7", "007"]),
        (["0", "-0"], "category", "classification", ["0", "-0"]),
        (["true", "maybe"], "category", "classification", ["true", "maybe"]),
    ],
)
def test_a_target_of_fractions_or_many_whole_numbers_is_a_quantity_and_any_other_is_classes(
    read: Read, cells: list[str], kind: Type, task: Task, values: list[object]
) -> None:
    dataset = read("a,y\n" + "".join(f"1,{cell}\n" for cell in cells))
    assert (dataset.task, dataset.columns[-1]) == (task, Column("y", kind, 0))
    assert dataset.target.tolist() == values
    assert [type(value) for value in dataset.target.tolist()] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("cells", "task", "values"),
    [
        (["0", "1"], "regression", [0.0, 1.0]),
        (["7", "007"], "regression", [7.0, 7.0]),
        ([str(2**60), "1"], "regression", [2.0**60, 1.0]),
        (MANY, "classification", list(range(MAX_INTEGER_CLASSES + 1))),
        (["x", "z"], "classification", ["x", "z"]),
    ],
)
def test_a_task_that_is_asked_for_is_the_task(read: Read, cells: list[str], task: Task, values: list[object]) -> None:
    dataset = read("a,y\n" + "".join(f"1,{cell}\n" for cell in cells), task=task)
    assert (dataset.task, dataset.target.tolist()) == (task, values)


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (["x", ""], {}, "the target 'y' has 1 missing values, the first in row 2"),
        (["1", "NaN", "NA"], {}, "the target 'y' has 2 missing values, the first in row 2"),
        (["", ""], {}, "the target 'y' has 2 missing values, the first in row 1"),
        (["1.5", "-1e999"], {}, "the target 'y', row 2: -1e999 is beyond a float64"),
        (
            ["1", "2.5"],
            {"task": "classification"},
            "the target 'y' has numbers with a fraction: expected classes",
        ),
        (["x", "z"], {"task": "regression"}, "the target 'y' is of kind category: regression needs numbers"),
        (["true", "false"], {"task": "regression"}, "the target 'y' is of kind boolean: regression needs numbers"),
    ],
)
def test_a_target_that_is_not_what_is_to_be_learned_is_refused_by_name(
    read: Read, cells: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError) as refusal:
        read("a,y\n" + "".join(f"1,{cell}\n" for cell in cells), **options)
    assert str(refusal.value) == message


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


def test_chosen_rows_are_written_in_the_order_asked_for(read: Read) -> None:
    assert read("a,y\n1,x\n2,y\n3,z\n").to_csv([2, 0]) == b"a,y\r\n3,z\r\n1,x\r\n"


@pytest.mark.parametrize(
    ("cells", "kind", "found"),
    [
        (["1", "red"], "number", "category"),
        (["true", "maybe"], "boolean", "category"),
        (["1", "2.5"], "integer", "number"),
        (["1", ""], "boolean", "integer"),
    ],
)
def test_values_of_another_kind_than_they_are_said_to_be_are_refused(
    read: Read, cells: list[str], kind: Type, found: Type
) -> None:
    with pytest.raises(TrainingError) as refusal:
        read("a,y\n" + "".join(f"{cell},x\n" for cell in cells), kinds={"a": kind})
    assert str(refusal.value) == f"column 'a': expected values of kind {kind}, found {found}"


@pytest.mark.parametrize(
    ("kind", "cells", "values"),
    [
        ("category", ["1", "true"], ["1", "true"]),
        ("category", ["", ""], ["", ""]),
        ("number", ["1", "2"], [1.0, 2.0]),
        ("number", ["", ""], [np.nan, np.nan]),
        ("boolean", ["", ""], [np.nan, np.nan]),
    ],
)
def test_values_are_read_as_the_kind_that_is_known(
    read: Read, kind: Type, cells: list[str], values: list[object]
) -> None:
    dataset = read("a,y\n" + "".join(f"{cell},x\n" for cell in cells), kinds={"a": kind})
    assert dataset.kinds()["a"] == kind
    np.testing.assert_equal(dataset.features["a"].tolist(), values)
