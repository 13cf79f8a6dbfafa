"""`just certify-all`: trains, compiles and certifies every named estimator on six tables, and prints the results.

Five tables are scikit-learn's own. One is random: 5 numeric and 3 categorical features, a fifth of all values missing.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import pandas as pd
from sklearn import datasets

sys.path.insert(0, str(Path(__file__).parents[2]))

from convert.errors import ConvertError
from convert.parity.answers import to_rows
from convert.publishing.candidate import Candidate, make_candidate
from tests.bench.report import REPORTS
from training.dataset import Dataset, read_dataset
from training.estimators import ESTIMATORS, choose_estimator
from training.train import train

TARGET = "target"
SEED = 42
TIMED_S = 0.2
MIXED_ROWS = 600


@attrs.frozen
class Line:
    """The result of one estimator on one table.

    Attributes:
        table: The table's name.
        estimator: The estimator's name.
        precision: The precision that was chosen.
        rows: How many rows were compared.
        mismatches: How many rows differ, or why there was nothing to compare.
        largest: The largest difference of one number.
        refused: How many extreme rows the compiled model refuses.
        certified_s: The time to compile and compare.
        kb: The size of the compiled model.
        row_us: The time of a batch of one row.
        faster: How many times longer the estimator takes for that row.
    """

    table: str
    estimator: str
    precision: str
    rows: int
    mismatches: str
    largest: str
    refused: int
    certified_s: float
    kb: float
    row_us: float
    faster: float


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="just certify-all", description=__doc__)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--estimators", nargs="+")
    options = parser.parse_args(arguments)
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in options.tables:
            dataset = _read(name, Path(folder))
            for estimator in ESTIMATORS[dataset.task]:
                if not options.estimators or estimator in options.estimators:
                    lines.append(_certify(dataset, estimator, Path(folder)))
                    print(_table(lines[-1:]).to_string(index=False, header=len(lines) == 1), flush=True)
    summary = _summarise(lines)
    print(f"\n{summary}")
    REPORTS.mkdir(exist_ok=True)
    (REPORTS / "certificates.md").write_text(f"{summary}\n\n{_to_markdown(_table(lines))}\n")


def _certify(dataset: Dataset, estimator: str, folder: Path) -> Line:
    choice = choose_estimator(estimator, dataset.task, dataset.columns[:-1])
    run = train(dataset, choice, seed=SEED, test_share=0.25, data_dir=folder)
    begun_s = time.perf_counter()
    try:
        candidate = make_candidate(folder, run, allowed_mismatches=0)
    except ConvertError as error:
        return Line(dataset.name, estimator, "none", 0, f"refused: {error}"[:60], "", 0, 0, 0, 0, 0)
    certified_s = time.perf_counter() - begun_s
    certificate = candidate.result.proof.certificate
    parity = certificate.parity
    return Line(
        table=dataset.name,
        estimator=estimator,
        precision=candidate.result.attempts[-1].precision,
        rows=parity.rows,
        mismatches=str(parity.mismatches),
        largest=f"{parity.max_difference:.0e}",
        refused=sum(compared.unanswered for compared in certificate.compared),
        certified_s=certified_s,
        kb=len(candidate.result.compiled.model) / 1000,
        row_us=candidate.row_us,
        faster=_speed_up(candidate),
    )


def _speed_up(candidate: Candidate) -> float:
    """Return the ratio of the estimator's median time for one row to the compiled model's, measured in turn."""
    session = candidate.result.session
    frame = candidate.artifacts.dataset.features.iloc[:1]
    rows, estimator = to_rows(frame), candidate.artifacts.estimator
    ask = getattr(estimator, "predict_proba", estimator.predict)
    compiled_s: list[float] = []
    estimator_s: list[float] = []
    until_s = time.perf_counter() + TIMED_S
    while time.perf_counter() < until_s or len(compiled_s) < 5:
        start_s = time.perf_counter()
        ask(frame)
        estimator_s.append(time.perf_counter() - start_s)
        for _ in range(5):
            start_s = time.perf_counter()
            session.run(rows)
            compiled_s.append(time.perf_counter() - start_s)
    return float(np.median(estimator_s) / np.median(compiled_s))


def _table(lines: Sequence[Line]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "table": line.table,
            "estimator": line.estimator,
            "taken": line.precision,
            "rows": line.rows,
            "differ": line.mismatches,
            "largest": line.largest,
            "refused": line.refused,
            "certified in s": f"{line.certified_s:.1f}",
            "KB": f"{line.kb:.0f}",
            "us a row": f"{line.row_us:.0f}",
            "times faster": f"{line.faster:.0f}",
        }
        for line in lines
    )


def _summarise(lines: Sequence[Line]) -> str:
    """Return the README's table: how many rows differ of how many, by estimator and table."""
    cells = {(line.estimator, line.table): f"{line.mismatches} of {line.rows:,}" for line in lines}
    estimators = dict.fromkeys(estimator for estimator, _ in cells)
    tables = dict.fromkeys(table for _, table in cells)
    frame = pd.DataFrame(
        {"estimator": estimator} | {table: cells.get((estimator, table), "") for table in tables}
        for estimator in estimators
    )
    return _to_markdown(frame)


def _to_markdown(frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _read(name: str, folder: Path) -> Dataset:
    path = folder / f"{name}.csv"
    TABLES[name]().to_csv(path, index=False)
    return read_dataset(path, TARGET, name=name)


def _load(loader: str) -> pd.DataFrame:
    bunch = getattr(datasets, f"load_{loader}")(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    if hasattr(bunch, "target_names") and loader != "digits":
        frame = frame.assign(target=np.asarray(bunch.target_names)[frame["target"]])
    return frame


def _make_mixed() -> pd.DataFrame:
    random = np.random.default_rng(SEED)
    frame = pd.DataFrame({f"x{power}": random.normal(size=MIXED_ROWS) * 10**power for power in range(5)})
    for name, count in (("colour", 3), ("town", 12), ("kind", 5)):
        frame[name] = random.choice([f"{name} {number}" for number in range(count)], MIXED_ROWS)
    score = frame["x0"] + frame["x1"] / 10 + 2 * (frame["colour"] == "colour 1") - 3 * (frame["town"] == "town 3")
    target = np.select([score > 1, score < -1], ["high", "low"], "middle")
    return frame.mask(random.random(frame.shape) < 1 / 5).assign(target=target)


TABLES: Mapping[str, Callable[[], pd.DataFrame]] = {
    "iris": lambda: _load("iris"),
    "wine": lambda: _load("wine"),
    "breast_cancer": lambda: _load("breast_cancer"),
    "digits": lambda: _load("digits"),
    "mixed": _make_mixed,
    "diabetes": lambda: _load("diabetes"),
}

if __name__ == "__main__":
    main(sys.argv[1:])
