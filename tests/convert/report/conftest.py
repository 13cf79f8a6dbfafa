"""Runs on three tables, with what their reports are made of, and their pages."""

from pathlib import Path

import attrs
import numpy as np
import pandas as pd
import pytest

from convert.compile.export import Compiled, export
from convert.compile.features import describe_features
from convert.parity.probes import Probes
from convert.parity.proof import Proof, prove
from convert.publishing.precision import SearchResult, search_precision
from convert.report.page import Page, render
from convert.report.report import make_page
from server.models.session import Session
from training.artifacts import Artifacts, load_artifacts
from training.dataset import read_dataset
from training.estimators import choose_estimator
from training.runlog import Run, RunLog
from training.train import train

HOSTILE = '<script src="http://evil.example">x</script>'
SHOUT = '"><img src=x onerror="alert(1)"> $a$ &'


@attrs.frozen(eq=False)
class Case:
    """A run with what its report is made of."""

    run: Run
    artifacts: Artifacts
    result: SearchResult
    runs: tuple[Run, ...]

    def page(self) -> Page:
        return make_page(self.run, self.artifacts, self.result, self.runs)


@attrs.frozen(eq=False)
class Place:
    """A data directory in which runs are made; each is compiled, and proven on its own rows alone."""

    folder: Path

    def train(self, table: pd.DataFrame, *, name: str, estimator: str, in_folds: bool = False) -> Run:
        source = self.folder / f"{name}.csv"
        table.to_csv(source, index=False)
        dataset = read_dataset(source, "y", name=name)
        choice = choose_estimator(estimator, dataset.task, dataset.columns[:-1])
        return train(dataset, choice, seed=0, test_share=0.25, data_dir=self.folder, in_folds=in_folds)

    def case(self, run: Run) -> Case:
        log = RunLog(self.folder)
        artifacts = load_artifacts(log.folder(run.id), run)
        return Case(run, artifacts, prove_on_known(artifacts), tuple(log.list()))


def prove_on_known(artifacts: Artifacts, allowed_mismatches: int = 0, shift: float = 0.0) -> SearchResult:
    """Compile and prove; a shift makes the estimator answer otherwise than the compiled model."""
    features = describe_features(artifacts.dataset)
    compiled = {precision: export(artifacts.estimator, features, precision) for precision in ("float32", "float64")}
    if shift:
        artifacts.estimator[-1].intercept_ += shift
    probes = (Probes("known", artifacts.dataset.features),)

    def prove_model(one: Compiled) -> tuple[Session, Proof]:
        session = Session(one.model, one.signature)
        return session, prove(artifacts.estimator, one, probes, make_session=lambda *_: session)

    return search_precision(compiled.__getitem__, prove_model, allowed_mismatches)


def numbers(rows: int, columns: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(random.normal(size=(rows, columns)).round(3), columns=[f"x{place}" for place in range(columns)])


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def mixed(place: Place) -> Case:
    """A table with every type of column, missing values, and text that would be markup."""
    random = np.random.default_rng(0)
    table = numbers(160, 2)
    table["whole"] = random.integers(0, 9, 160)
    table["city"] = random.choice([HOSTILE, "Köln", "北京", "", *"abcdefg"], 160)
    table["flag"] = random.choice(["true", "false", ""], 160)
    table["fixed"] = "true"
    table["rare"] = [*["1.5", "2.5", "3.5"], *[""] * 157]
    table["still"] = [1.5, *[7.0] * 159]
    table.loc[::9, "x1"] = np.nan
    table["y"] = np.where(table["x0"] > 0, SHOUT, "_no")
    return place.case(place.train(table, name="mixed", estimator="log_reg"))


@pytest.fixture(scope="session")
def quantity(place: Place) -> Case:
    table = numbers(120, 3)
    table["y"] = 30_000 * table["x0"] + table["x1"]
    first = place.train(table, name="quantity", estimator="ridge", in_folds=True)
    place.train(table, name="quantity", estimator="decision_tree", in_folds=True)
    place.train(table, name="quantity", estimator="ridge")
    return place.case(first)


@pytest.fixture(scope="session")
def wide(place: Place) -> Case:
    """More classes than plots have room for."""
    table = numbers(230, 3)
    table["y"] = [f"class {place % 23:02}" for place in range(230)]
    return place.case(place.train(table, name="wide", estimator="gaussian_nb"))


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time and shuffle in few rounds; more would only make the figures more precise."""
    set_few_rounds(monkeypatch)


def set_few_rounds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("convert.report.timing.ROUNDS_S", 0)
    patch.setattr("convert.report.importance.MAX_ROUNDS", 2)


@pytest.fixture(scope="session")
def facts(mixed: Case, quantity: Case, wide: Case) -> dict[str, Page]:
    with pytest.MonkeyPatch.context() as patch:
        set_few_rounds(patch)  # the fixture comes later
        return {"mixed": mixed.page(), "quantity": quantity.page(), "wide": wide.page()}


@pytest.fixture(scope="session")
def pages(facts: dict[str, Page]) -> dict[str, str]:
    return {name: render(page).decode() for name, page in facts.items()}
