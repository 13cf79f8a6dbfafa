"""A mixed table, trained on, compiled and served by the real commands, is answered as its estimator answers it."""

import csv
import io
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

import convert.cli
import training.cli
from tests.support.lane import BOTH_WAYS
from tests.support.server_process import serving
from training.artifacts import load_artifacts
from training.runlog import RunLog

ROWS = 240
TARGETS = ("kept", "weight")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a run for each target, and the published versions of both."""
    root = tmp_path_factory.mktemp("mixed")
    table = root / "zoo.csv"
    table.write_text(make_table())
    for number, (target, other) in enumerate((TARGETS, TARGETS[::-1]), start=1):
        arguments = ["train", str(table), target, "--drop", other, "--name", target, "--data-dir", str(root / "data")]
        assert training.cli.main(arguments) == 0
        assert (
            convert.cli.main([str(number), "--data-dir", str(root / "data"), "--models-dir", str(root / "models")]) == 0
        )
    return root


def make_table() -> str:
    """Draws a table with a column of each type, and gaps in all but one, that tell of both targets."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": random.uniform(1, 9, ROWS).round(2),
            "legs": random.choice([2, 4, 6], ROWS),
            "tame": random.choice(["true", "false"], ROWS),
            "colour": random.choice(["red", "blue", "green", "deep red"], ROWS),
        }
    )
    weight = frame["size"] * 1.5 - frame["legs"] + 3 * (frame["tame"] == "true") + 2 * (frame["colour"] == "red")
    frame = frame.astype(object)
    for name in ("legs", "tame", "colour"):
        frame.loc[random.random(ROWS) < 0.1, name] = ""
    frame["kept"] = (weight + random.normal(size=ROWS) > 5).map({True: "true", False: "false"})
    frame["weight"] = (weight + random.normal(size=ROWS)).round(3)
    return frame.to_csv(index=False)


@pytest.mark.parametrize("way", BOTH_WAYS)
def test_every_row_of_a_mixed_table_is_answered_as_by_its_estimator(trained: Path, way: tuple[str, ...]) -> None:
    log = RunLog(trained / "data")
    with serving(trained / "models", *way) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        for number, target in enumerate(TARGETS, start=1):
            left = load_artifacts(log.folder(number), log.find(number))
            features = left.dataset.features
            expected = left.estimator.predict(features).tolist()
            body = client.post(
                f"/{target}/predict/rows", content=to_csv(left.dataset.to_csv()), headers={"content-type": "text/csv"}
            ).json()
            assert body["model_name"] == log.find(number).model
            singles = [client.post(f"/{target}/predict", json=row).json()["output"] for row in to_json(features)[:40]]
            if target == "kept":
                assert body["outputs"] == expected
                assert singles == expected[:40]
                assert set(expected) == {False, True}
            else:
                assert body["outputs"] == pytest.approx(expected, rel=1e-4, abs=1e-4)
                assert singles == pytest.approx(expected[:40], rel=1e-4, abs=1e-4)


def to_csv(table: bytes) -> bytes:
    """Leaves out a table's last column, the target."""
    text = io.StringIO()
    csv.writer(text).writerows(line[:-1] for line in csv.reader(io.StringIO(table.decode(), newline="")))
    return text.getvalue().encode()


def to_json(features: pd.DataFrame) -> list[dict[str, float | int | bool | str | None]]:
    """Gives rows as a client would send them."""
    return [
        {
            "size": size,
            "legs": None if np.isnan(legs) else int(legs),
            "tame": None if np.isnan(tame) else bool(tame),
            "colour": colour or None,
        }
        for size, legs, tame, colour in features.itertuples(index=False)
    ]
