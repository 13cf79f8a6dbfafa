"""The C that `log_reg` chooses beside fixed ones, by repeated stratified cross-validation; `just regularisation`.

Each line is one score of one table of `just certify-all`: the mean at C = 1, and by how much the others differ from it
on the same folds, with the standard error of that difference. A plus is better: of log loss, the negative is compared.
Any warning, such as one that a fit did not converge, ends the comparison.
"""

import argparse
import math
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_validate

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.certify import TABLES, TARGET
from training.dataset import Dataset, read_dataset
from training.estimators import Estimator, choose_estimator

FOLDS = 10
SCORES: Mapping[str, str] = {"accuracy": "accuracy", "log loss": "neg_log_loss"}
BASE = "C = 1"
CHOSEN = "chosen"
FIXED: Mapping[str, float] = {BASE: 1.0, "C = 3": 3.0, "C = 10": 10.0, "no penalty": math.inf}
Scores = Mapping[str, npt.NDArray[np.float64]]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="just regularisation", description=__doc__)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--repeats", type=int, default=3, help="how often each table is split into ten folds")
    options = parser.parse_args(arguments)
    others = [CHOSEN, *(name for name in FIXED if name != BASE)]
    print("|", " | ".join(["table", "score", BASE, *others, "C chosen, how often"]), "|")
    print("|", " | ".join(["---"] * (len(others) + 4)), "|")
    for table in options.tables:
        dataset = _read(table)
        if dataset.task == "classification":
            _compare(dataset, options.repeats, others)


def _compare(dataset: Dataset, repeats: int, others: Sequence[str]) -> None:
    """Prints the lines of one table."""
    found = {name: _score(estimator, dataset, repeats) for name, estimator in _make_estimators(dataset).items()}
    chosen = Counter(float(pipeline[-1].C_) for pipeline in found[CHOSEN]["estimator"])
    for label, score in SCORES.items():
        base = found[BASE][f"test_{score}"]
        cells = [_word(found[name][f"test_{score}"] - base) for name in others]
        often = ", ".join(f"{c:g}: {count}" for c, count in sorted(chosen.items()))
        print("|", " | ".join([dataset.name, label, f"{abs(base.mean()):.4f}", *cells, often]), "|", flush=True)


def _make_estimators(dataset: Dataset) -> Mapping[str, Estimator]:
    pipeline = choose_estimator("log_reg", dataset.task, dataset.columns[:-1]).estimator
    fixed = {name: LogisticRegression(solver="newton-cholesky", C=c) for name, c in FIXED.items()}
    return {CHOSEN: pipeline} | {name: clone(pipeline).set_params(model=model) for name, model in fixed.items()}


def _score(estimator: Estimator, dataset: Dataset, repeats: int) -> Scores:
    # A row that repeats another would be known to a fold that it is to test.
    features = dataset.features.drop_duplicates()
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=0)
    with warnings.catch_warnings():
        # Without a penalty the solver may well warn; that is why there is one.
        warnings.simplefilter("ignore" if getattr(estimator[-1], "C", None) == math.inf else "error")
        scores: Scores = cross_validate(
            estimator,
            features,
            dataset.target.loc[features.index],
            cv=folds,
            scoring=list(SCORES.values()),
            return_estimator=True,
            error_score="raise",
        )
    return scores


def _word(differences: npt.NDArray[np.float64]) -> str:
    """Words a mean difference with its standard error.

    Folds share most of their training rows. The variance is corrected for that (Nadeau and Bengio, "Inference for the
    generalization error", Machine Learning 52, 2003).
    """
    error = differences.std(ddof=1) * math.sqrt(1 / len(differences) + 1 / (FOLDS - 1))
    return f"{differences.mean():+.4f} ± {error:.4f}"


def _read(table: str) -> Dataset:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{table}.csv"
        TABLES[table]().to_csv(path, index=False)
        return read_dataset(path, TARGET, name=table)


if __name__ == "__main__":
    main(sys.argv[1:])
