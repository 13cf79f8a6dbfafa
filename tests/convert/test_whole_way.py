"""A table of every type goes the whole way, and the published version answers every row as the estimator does."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from server.contract.manifest import Manifest
from server.contract.signature import Answer, Label
from server.models.catalog import load_model
from tests.convert.conftest import Bench
from tests.support.conversions import compile_here, convert
from tests.support.signatures import MANY_ROWS
from training.artifacts import Artifacts, load_artifacts
from training.runlog import RunLog

ROWS = 80
TARGETS = ("words", "truth", "wide", "weight")
WIDE = (-(2**40), 7, 2**45 + 1)
CLASSIFIERS = (
    "log_reg",
    "decision_tree",
    "random_forest",
    "hist_gradient_boosting",
    "svc",
    "knn",
    "gaussian_nb",
)
REGRESSORS = ("ridge", "bayesian_ridge", "decision_tree", "hist_gradient_boosting", "svr", "knn")
TOLERANCE = 1e-5


@attrs.frozen(eq=False)
class Way:
    """Both ends of a conversion.

    Attributes:
        manifest: The published version's.
        by_json: Its answers to each row of the table, sent by itself as a JSON object, read from the body.
        by_csv: Its answers to the table's very text, in one batch.
        left: What the run left.
    """

    manifest: Manifest
    by_json: Sequence[Any]
    by_csv: Sequence[Answer]
    left: Artifacts


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    compile_here(monkeypatch)
    # Trees so small are done before the other threads have begun.
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file with a column of each type, gaps in most, and a target of each type that they tell of."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "größe, cm": random.uniform(1, 9, ROWS).round(2),
            "offset": random.normal(scale=1e-3, size=ROWS),
            "legs": random.choice([2, 4, 6], ROWS),
            "tame": random.choice(["true", "false"], ROWS),
            "colour": random.choice(["red", "blue", 'deep "red", dark', "0"], ROWS),
        }
    )
    weight = frame["größe, cm"] * 1.5 - frame["legs"] + 3 * (frame["tame"] == "true") + 2 * (frame["colour"] == "red")
    frame = frame.astype(object)
    for name in ("offset", "legs", "tame", "colour"):
        frame.loc[random.random(ROWS) < 0.1, name] = ""
    weight += random.normal(scale=0.5, size=ROWS)
    rank = pd.qcut(weight, 3, labels=False)
    frame["words"] = rank.map({0: "lean", 1: "a,b\n", 2: "Ünique"})
    frame["truth"] = (rank == 2).map({True: "true", False: "false"})
    frame["wide"] = rank.map(dict(enumerate(WIDE)))
    frame["weight"] = weight * 1e6
    path = tmp_path_factory.mktemp("whole") / "zoo.csv"
    frame.to_csv(path, index=False)
    return path


def go(bench: Bench, table: Path, target: str, estimator: str, *options: str) -> Way:
    """Trains on a table and converts by the commands, and asks the version through codec and session."""
    others = [option for other in TARGETS if other != target for option in ("--drop", other)]
    assert bench.train(*others, "--estimator", estimator, *options, source=table, target=target) == 0
    assert convert(bench, "--name", "zoo") == 0
    model = load_model(bench.models_dir / "zoo" / "1", "zoo", 1, threads=1)
    left = load_artifacts(bench.data_dir / "runs" / "1", RunLog(bench.data_dir).find(1))
    answers = [
        model.session.run(
            [model.codec.decode_row(to_body(dict(zip(left.dataset.features.columns, row, strict=True))))]
        )[0]
        for row in left.dataset.features.itertuples(index=False)
    ]
    bodies = [json.loads(model.codec.encode_answer(answer, probabilities=True)) for answer in answers]
    rows = model.codec.decode_csv(without_target(left.dataset.to_csv()), MANY_ROWS)
    return Way(model.manifest, bodies, model.session.run(rows), left)


def to_body(row: dict[str, Any]) -> bytes:
    """Writes a row as a client would: whole numbers as such, true and false, and null where there is no value."""
    sent = {name: None if value == "" or value != value else value for name, value in row.items()}  # noqa: PLR0124  NaN
    if sent["legs"] is not None:
        sent["legs"] = int(sent["legs"])
    if sent["tame"] is not None:
        sent["tame"] = bool(sent["tame"])
    return json.dumps(sent).encode()


def without_target(table: bytes) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(line[:-1] for line in csv.reader(io.StringIO(table.decode(), newline="")))
    return text.getvalue().encode()


def assert_classified_alike(way: Way, labels: Sequence[Label]) -> None:
    features = way.left.dataset.features
    expected = way.left.estimator.predict(features).tolist()
    assert way.manifest.signature.labels == tuple(labels)
    assert [type(label) for label in way.manifest.signature.labels] == [type(label) for label in labels]
    assert [body["output"] for body in way.by_json] == expected
    assert [type(body["output"]) for body in way.by_json] == [type(labels[0])] * len(expected)
    assert [answer.label for answer in way.by_csv] == expected
    assert set(expected) == set(labels)
    probabilities = way.left.estimator.predict_proba(features)
    assert np.abs(probabilities - [list(body["probabilities"].values()) for body in way.by_json]).max() <= TOLERANCE
    assert np.abs(probabilities - [list(answer.probabilities) for answer in way.by_csv]).max() <= TOLERANCE


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_a_mixed_table_is_classified_by_words_as_its_estimator_does(bench: Bench, table: Path, estimator: str) -> None:
    way = go(bench, table, "words", estimator)
    assert_classified_alike(way, ("a,b\n", "lean", "Ünique"))
    assert way.manifest.parity.mismatches == 0
    types = {feature.name: (feature.type, feature.nullable) for feature in way.manifest.signature.features}
    assert types == {
        "größe, cm": ("number", False),
        "offset": ("number", True),
        "legs": ("integer", True),
        "tame": ("boolean", True),
        "colour": ("category", True),
    }
    assert {type(golden.row["legs"]) for golden in way.manifest.golden} <= {int, type(None)}
    assert {type(golden.row["tame"]) for golden in way.manifest.golden} <= {bool, type(None)}


@pytest.mark.parametrize(
    ("target", "labels", "estimator"),
    [
        ("truth", (False, True), "log_reg"),
        ("truth", (False, True), "gradient_boosting"),
        ("wide", WIDE, "log_reg"),
        ("wide", WIDE, "decision_tree"),
        ("wide", WIDE, "hist_gradient_boosting"),
    ],
)
def test_labels_that_are_no_words_come_back_as_what_they_are(
    bench: Bench, table: Path, target: str, labels: Sequence[Label], estimator: str
) -> None:
    assert_classified_alike(go(bench, table, target, estimator), labels)


@pytest.mark.parametrize("estimator", REGRESSORS)
def test_a_mixed_table_is_regressed_as_its_estimator_does(bench: Bench, table: Path, estimator: str) -> None:
    way = go(bench, table, "weight", estimator)
    expected = way.left.estimator.predict(way.left.dataset.features)
    assert (way.manifest.signature.labels, way.manifest.run.metric) == ((), "r2")
    scale = np.maximum(np.abs(expected), np.std(expected))
    for answers in ([body["output"] for body in way.by_json], [answer.label for answer in way.by_csv]):
        assert (np.abs(expected - np.array(answers, dtype=np.float64)) / scale).max() <= TOLERANCE
    assert all("probabilities" not in body for body in way.by_json)


@pytest.mark.parametrize("features", ["polynomial", "splines"])
def test_what_is_made_of_the_numbers_is_part_of_the_compiled_model(bench: Bench, table: Path, features: str) -> None:
    assert_classified_alike(go(bench, table, "truth", "log_reg", "--features", features), (False, True))
