"""What gradient boosting on histograms cannot learn from is refused by its column before a run is logged."""

from pathlib import Path

import pytest

from tests.training.conftest import Read
from training.dataset import Dataset
from training.errors import TrainingError
from training.estimators import Choice, Estimator, choose_estimator
from training.folds import list_folds
from training.pipelines import MAX_CODES, Expansion
from training.runlog import Run, RunLog
from training.split import split_rows
from training.train import train

NAME = "hist_gradient_boosting"
REMEDY = f"leave it out with --drop, or take another estimator than {NAME}"
SEED = 42


def learn(dataset: Dataset, data_dir: Path, choice: Choice, *, in_folds: bool = False) -> Run:
    return train(dataset, choice, seed=SEED, test_share=0.25, data_dir=data_dir, in_folds=in_folds)


def choose(dataset: Dataset, name: str = NAME, expansion: Expansion = "none") -> Choice:
    return choose_estimator(name, dataset.task, dataset.columns[:-1], expansion)


@pytest.fixture
def split_of_80(read: Read) -> tuple[set[int], set[int]]:
    """The rows to learn from and the others, of tables of 80 rows that differ."""
    split = split_rows(read("n,y\n" + "".join(f"{row},{row}.5\n" for row in range(80))), 0.25, SEED)
    return set(split.train), set(split.held_out)


def table(given: dict[int, str]) -> str:
    """Write 80 rows with a column that has a value in some of them only."""
    return "n,gap,y\n" + "".join(f"{row},{given.get(row, '')},{row}.5\n" for row in range(80))


@pytest.mark.parametrize("texts", [MAX_CODES - 1, MAX_CODES, MAX_CODES + 145])
def test_of_more_categories_than_there_are_codes_the_rarest_share_one(read: Read, data_dir: Path, texts: int) -> None:
    rows = "".join(f"text {row % texts},{row},{'ab'[row % 2]}\n" for row in range(texts * 12))
    dataset = read(f"c,n,y\n{rows}")
    choice = choose(dataset)
    assert learn(dataset, data_dir, choice).status == "finished"
    encoder = choice.estimator[0].named_transformers_["categories"]
    (grouped,) = encoder.infrequent_categories_
    assert (0 if grouped is None else len(grouped)) == max(0, texts - MAX_CODES + 1)


@pytest.mark.parametrize("value", ["1.5", "7", "true"])
def test_a_column_whose_values_are_all_held_out_is_refused_by_its_name(
    read: Read, data_dir: Path, split_of_80: tuple[set[int], set[int]], value: str
) -> None:
    learned, held_out = split_of_80
    dataset = read(table(dict.fromkeys(held_out, value)))
    with pytest.raises(TrainingError) as refusal:
        learn(dataset, data_dir, choose(dataset))
    assert str(refusal.value) == f"column 'gap' has no value in the {len(learned)} rows to learn from; {REMEDY}"
    assert not data_dir.exists()


def test_texts_that_are_all_held_out_and_numbers_that_are_filled_or_go_to_others_are_learned_from(
    read: Read, data_dir: Path, split_of_80: tuple[set[int], set[int]]
) -> None:
    _, held_out = split_of_80
    texts, numbers = (read(table(dict.fromkeys(held_out, value))) for value in ("red", "1.5"))
    for dataset, choice in (
        (texts, choose(texts)),
        (numbers, choose(numbers, expansion="splines")),
        (numbers, choose(numbers, "decision_tree")),
        (numbers, Choice("own:make", "make", own_estimator(numbers))),
    ):
        assert learn(dataset, data_dir, choice).status == "finished"


def own_estimator(dataset: Dataset) -> Estimator:
    """Make an estimator of whose needs nothing is known."""
    return choose(dataset, "ridge").estimator


def test_a_column_that_is_empty_in_one_fold_is_refused_only_where_there_are_folds(
    read: Read, data_dir: Path, split_of_80: tuple[set[int], set[int]]
) -> None:
    learned, _ = split_of_80
    dataset = read(table({min(learned): "1.5"}))
    smallest = {len(fold) for fold in list_folds(dataset, tuple(sorted(learned)), SEED) if min(learned) not in fold}
    with pytest.raises(TrainingError) as refusal:
        learn(dataset, data_dir, choose(dataset), in_folds=True)
    assert str(refusal.value) == f"column 'gap' has no value in the {smallest.pop()} rows to learn from; {REMEDY}"
    assert not data_dir.exists()
    assert learn(dataset, data_dir, choose(dataset)).status == "finished"
    assert [run.status for run in RunLog(data_dir).list()] == ["finished"]
