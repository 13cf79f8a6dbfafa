"""The table in the repository is what its maker makes."""

import runpy
from pathlib import Path

import pytest

from tests.support.workshop import IRIS_CSV

MAKER = Path(__file__).parents[2] / "data" / "make_iris.py"


def test_the_iris_table_is_exactly_what_its_maker_makes() -> None:
    assert IRIS_CSV.read_text(encoding="utf-8") == runpy.run_path(str(MAKER))["make_iris"]()


def test_the_maker_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(MAKER), run_name="__main__")
    assert capsys.readouterr().out == IRIS_CSV.read_text(encoding="utf-8")


def test_the_iris_table_has_the_header_that_its_users_know_and_150_rows() -> None:
    header, *rows = IRIS_CSV.read_text(encoding="utf-8").splitlines()
    assert header == "Id,SepalLengthCm,SepalWidthCm,PetalLengthCm,PetalWidthCm,Species"
    assert len(rows) == 150
    assert rows[0] == "1,5.1,3.5,1.4,0.2,Iris-setosa"
