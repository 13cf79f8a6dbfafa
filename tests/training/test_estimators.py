"""A name, or MODULE:FUNCTION, gives an unfitted estimator for the task or a refusal that says why not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from training.columns import Column
from training.dataset import Dataset, Task
from training.errors import TrainingError
from training.estimators import DEFAULTS, ESTIMATORS, choose_estimator, seed_estimator
from training.pipelines import Expansion

NUMBERS = (Column("n", "number", missing=0),)
OWN_MODULE = """
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

number = 7


def Scaled_Log_Reg():
    return make_pipeline(StandardScaler(), LogisticRegression())


def a_class():
    return LogisticRegression


def regressor():
    return LinearRegression()


def unsure():
    return SVC()


def nothing():
    return None


def broken():
    raise RuntimeError("out of order")


class Forgetful(LogisticRegression):
    def __init__(self, strength=1.0):
        super().__init__()


class Shallow(LogisticRegression):
    def get_params(self):
        return {}
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_estimators.py").write_text(OWN_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_log_reg_is_a_logistic_regression_that_runs_are_named_after() -> None:
    choice = choose_estimator("log_reg", "classification", NUMBERS)
    assert (choice.spec, choice.name) == ("log_reg", "log_reg")
    assert choice.estimator.get_params()["model__solver"] == "newton-cholesky"


def test_log_reg_chooses_its_penalty_on_the_rows_that_it_learns_from(iris: Dataset) -> None:
    noise = np.random.default_rng(0).permutation(iris.target)
    strengths = []
    for target in (iris.target, noise):
        fitted = choose_estimator("log_reg", "classification", NUMBERS).estimator.fit(iris.features, target)
        strengths.append(float(fitted[-1].C_))
    assert strengths == [10.0, 0.1]


@pytest.mark.parametrize("labels", ["ab", "aabb", "aaabbb", "abcdefgh", "aaaaaaaaab", "a" * 500 + "bbccc"])
def test_log_reg_learns_from_classes_of_few_rows_without_a_warning(labels: str) -> None:
    features = pd.DataFrame({"n": np.random.default_rng(0).normal(size=len(labels))})
    fitted = choose_estimator("log_reg", "classification", NUMBERS).estimator.fit(features, list(labels))
    assert fitted.classes_.tolist() == sorted(set(labels))
    assert np.isfinite(fitted.predict_proba(features)).all()


@pytest.mark.parametrize("task", ESTIMATORS)
def test_each_choice_is_an_estimator_of_its_own_and_of_its_task(task: Task) -> None:
    for name in ESTIMATORS[task]:
        first, second = (choose_estimator(name, task, NUMBERS).estimator for _ in range(2))
        assert first is not second
        assert (is_classifier(first), is_regressor(first)) == (task == "classification", task == "regression")


def test_the_default_of_each_task_is_one_of_its_estimators() -> None:
    assert all(DEFAULTS[task] in names for task, names in ESTIMATORS.items())


@pytest.mark.usefixtures("own_module")
def test_a_function_gives_the_users_own_estimator_and_its_name_in_small_letters() -> None:
    choice = choose_estimator("own_estimators:Scaled_Log_Reg", "classification", NUMBERS)
    assert isinstance(choice.estimator, Pipeline)
    assert (choice.spec, choice.name) == ("own_estimators:Scaled_Log_Reg", "scaled_log_reg")


@pytest.mark.usefixtures("own_module")
def test_a_regressor_needs_no_probabilities_and_a_classifier_does() -> None:
    choice = choose_estimator("own_estimators:regressor", "regression", NUMBERS)
    assert isinstance(choice.estimator, LinearRegression)
    assert (choice.spec, choice.name) == ("own_estimators:regressor", "regressor")
    with pytest.raises(TrainingError, match=r"^estimator 'own_estimators:regressor' is a LinearRegression without "):
        choose_estimator("own_estimators:regressor", "classification", NUMBERS)


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize("expansion", ["polynomial", "splines"])
def test_features_are_not_made_for_ones_own_estimator(expansion: Expansion) -> None:
    with pytest.raises(TrainingError) as refusal:
        choose_estimator("own_estimators:regressor", "regression", NUMBERS, expansion)
    assert str(refusal.value) == (
        f"--features {expansion} is for named estimators; 'own_estimators:regressor' makes its own"
    )


@pytest.mark.parametrize(
    ("spec", "task"), [("forest", "classification"), ("", "regression"), ("ridge", "classification")]
)
def test_a_name_that_is_not_known_is_refused_with_those_that_are(spec: str, task: Task) -> None:
    with pytest.raises(TrainingError) as refusal:
        choose_estimator(spec, task, NUMBERS)
    names = ", ".join(ESTIMATORS[task])
    assert str(refusal.value) == f"no estimator {spec!r} for {task}: expected {names} or MODULE:FUNCTION"


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        (":make", "cannot be made: ValueError: Empty module name"),
        ("no_such_module:make", "cannot be made: ModuleNotFoundError: No module named 'no_such_module'"),
        ("own_estimators:absent", "cannot be made: AttributeError: module 'own_estimators' has no attribute 'absent'"),
        ("own_estimators:number", "cannot be made: TypeError: 'int' object is not callable"),
        ("own_estimators:broken", "cannot be made: RuntimeError: out of order"),
        (
            "own_estimators:Forgetful",
            "cannot be made: AttributeError: 'Forgetful' object has no attribute 'strength'",
        ),
        (
            "own_estimators:Shallow",
            "cannot be made: TypeError: Shallow.get_params() got an unexpected keyword argument 'deep'",
        ),
        ("own_estimators:a_class", "gives the class LogisticRegression: expected an object of it"),
        ("own_estimators:regressor", "is a LinearRegression without predict_proba"),
        ("own_estimators:unsure", "is a SVC without predict_proba"),
        ("own_estimators:nothing", "is a NoneType without fit, predict, predict_proba, get_params, set_params"),
    ],
)
def test_what_is_no_classifier_with_probabilities_is_refused(spec: str, fault: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        choose_estimator(spec, "classification", NUMBERS)
    assert str(refusal.value) == f"estimator {spec!r} {fault}"


class Quasi(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator with parameters that only look like a random state."""

    def __init__(self, random_state: int | None = None, quasi_random_state: int | None = None) -> None:
        self.random_state = random_state
        self.quasi_random_state = quasi_random_state


def test_every_random_state_that_is_open_is_set_from_the_seed_and_no_other() -> None:
    estimator = make_pipeline(
        StandardScaler(),
        RandomForestClassifier(random_state=7),
        BaggingClassifier(MLPClassifier(), random_state=0),
        Quasi(),
        LogisticRegression(),
    )
    before = estimator.get_params()
    seed_estimator(estimator, 42)
    after = {name: value for name, value in estimator.get_params().items() if name.endswith("random_state")}
    assert after == {
        "randomforestclassifier__random_state": 7,
        "baggingclassifier__random_state": 0,
        "baggingclassifier__estimator__random_state": 42,
        "quasi__random_state": 42,
        "quasi__quasi_random_state": None,
        "logisticregression__random_state": 42,
    }
    plain = {name: value for name, value in before.items() if value is None or isinstance(value, int | float | str)}
    assert {name: value for name, value in estimator.get_params().items() if name in plain} == plain | {
        name: 42 for name, value in after.items() if value == 42
    }


def test_an_estimator_that_leaves_nothing_open_is_as_it_was() -> None:
    estimator = RandomForestClassifier(random_state=0)
    before = estimator.get_params()
    seed_estimator(estimator, 42)
    assert estimator.get_params() == before
