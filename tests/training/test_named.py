"""Every named estimator learns from a mixed table with gaps, is read again as it was left, and comes out the same."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests.training.conftest import Read
from training.artifacts import Artifacts, load_artifacts
from training.dataset import Dataset, Task
from training.estimators import ESTIMATORS, Choice, Estimator, choose_estimator, seed_estimator
from training.pipelines import EXPANSIONS, Expansion
from training.split import split_rows
from training.train import train

ROWS = 48
SEED = 42


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tables are learned in no time by one thread; many only wait for each other where processors are few."""
    with threadpool_limits(1):
        yield


def mixed_table() -> str:
    """Write a table of each kind of feature, each with gaps, whose label and number follow from them."""
    random = np.random.default_rng(0)
    lines = ["n,i,b,c,label,flag,number"]
    for _ in range(ROWS):
        n, i, b, c = (
            random.normal(),
            random.integers(50),
            random.random() < 0.5,
            random.choice(["red", "green", "blue"]),
        )
        value = n + 2 * (c == "red") + b
        cells = [repr(float(n)), str(i), str(b).lower(), str(c)]
        gaps = random.random(4) < 0.1
        shown = ["" if gap else cell for gap, cell in zip(gaps, cells, strict=True)]
        label = "high" if value > 1 else "low"
        lines.append(",".join([*shown, label, str(value > 1).lower(), repr(float(value))]))
    return "\n".join(lines)


@pytest.fixture
def mixed(read: Read) -> dict[Task, Dataset]:
    table = mixed_table()
    return {
        "classification": read(table, "label", drop=["flag", "number"]),
        "regression": read(table, "number", drop=["flag", "label"]),
    }


def answers(estimator: Estimator, dataset: Dataset) -> list[object]:
    ask = estimator.predict_proba if dataset.task == "classification" else estimator.predict
    return [estimator.predict(dataset.features).tolist(), ask(dataset.features).tolist()]


def train_and_load(dataset: Dataset, choice: Choice, data_dir: Path) -> Artifacts:
    run = train(dataset, choice, seed=SEED, test_share=0.25, data_dir=data_dir)
    assert (run.status, run.task, run.columns) == ("finished", dataset.task, dataset.kinds())
    return load_artifacts(data_dir / "runs" / str(run.id), run)


def test_the_mixed_table_has_every_kind_of_feature_with_gaps_in_each(mixed: dict[Task, Dataset]) -> None:
    for dataset in mixed.values():
        assert [column.kind for column in dataset.columns[:-1]] == ["number", "integer", "boolean", "category"]
        assert all(0 < column.missing < ROWS for column in dataset.columns[:-1])


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, names in ESTIMATORS.items() for name in names])
def test_a_named_estimator_is_read_again_as_it_was_and_repeats_exactly(
    mixed: dict[Task, Dataset], data_dir: Path, task: Task, name: str
) -> None:
    dataset = mixed[task]
    choice = choose_estimator(name, task, dataset.columns[:-1])
    left = train_and_load(dataset, choice, data_dir)
    learned = answers(choice.estimator, dataset)
    assert answers(left.estimator, dataset) == learned

    again = choose_estimator(name, task, left.dataset.columns[:-1]).estimator
    seed_estimator(again, SEED)
    rows = list(split_rows(left.dataset, 0.25, SEED).train)
    again.fit(left.dataset.features.iloc[rows], left.dataset.target.iloc[rows])
    assert answers(again, dataset) == learned


@pytest.mark.parametrize("expansion", EXPANSIONS[1:])
@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("classification", "log_reg"),
        ("classification", "decision_tree"),
        ("regression", "ridge"),
    ],
)
def test_a_named_estimator_learns_from_features_that_are_made_of_the_numbers(
    mixed: dict[Task, Dataset], data_dir: Path, task: Task, name: str, expansion: Expansion
) -> None:
    dataset = mixed[task]
    choice = choose_estimator(name, task, dataset.columns[:-1], expansion)
    left = train_and_load(dataset, choice, data_dir)
    assert answers(left.estimator, dataset) == answers(choice.estimator, dataset)
    plain = choose_estimator(name, task, dataset.columns[:-1]).estimator
    seed_estimator(plain, SEED)
    plain.fit(dataset.features, dataset.target)
    assert plain[:-1].transform(dataset.features).shape[1] < left.estimator[:-1].transform(dataset.features).shape[1]


@pytest.mark.parametrize("name", ["log_reg", "knn", "mlp"])
def test_classes_may_be_true_and_false(read: Read, data_dir: Path, name: str) -> None:
    dataset = read(mixed_table(), "flag", drop=["label", "number"])
    left = train_and_load(dataset, choose_estimator(name, dataset.task, dataset.columns[:-1]), data_dir)
    assert left.estimator.classes_.tolist() == [False, True]
    assert left.dataset.target.tolist() == dataset.target.tolist()


def test_a_column_that_is_empty_in_the_held_out_rows_is_read_again_as_of_its_kind(read: Read, data_dir: Path) -> None:
    held_out = split_rows(read("a,y\n" + "".join(f"{row},{row}.5\n" for row in range(40))), 0.25, SEED).held_out
    cells = [("", "") if row in held_out else (f"{row % 3}", "red") for row in range(40)]
    dataset = read("a,b,c,y\n" + "".join(f"{row},{b},{c},{row}.5\n" for row, (b, c) in enumerate(cells)))
    left = train_and_load(dataset, choose_estimator("ridge", dataset.task, dataset.columns[:-1]), data_dir)
    assert left.held_out.kinds() == dataset.kinds()
    assert [column.missing for column in left.held_out.columns] == [0, 10, 10, 0]
    assert left.held_out.to_csv() == dataset.to_csv(held_out)
