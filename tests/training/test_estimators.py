"""A name, or MODULE:FUNCTION, gives an unfitted classifier or a refusal that says why not."""

from pathlib import Path

import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from training.errors import TrainingError
from training.estimators import choose_estimator, seed_estimator

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
    choice = choose_estimator("log_reg")
    assert (choice.spec, choice.name) == ("log_reg", "log_reg")
    assert choice.estimator.get_params()["solver"] == "newton-cholesky"


def test_each_choice_is_an_estimator_of_its_own() -> None:
    assert choose_estimator("log_reg").estimator is not choose_estimator("log_reg").estimator


@pytest.mark.usefixtures("own_module")
def test_a_function_gives_the_users_own_estimator_and_its_name_in_small_letters() -> None:
    choice = choose_estimator("own_estimators:Scaled_Log_Reg")
    assert isinstance(choice.estimator, Pipeline)
    assert (choice.spec, choice.name) == ("own_estimators:Scaled_Log_Reg", "scaled_log_reg")


@pytest.mark.parametrize("spec", ["forest", ""])
def test_a_name_that_is_not_known_is_refused_with_those_that_are(spec: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        choose_estimator(spec)
    assert str(refusal.value) == f"no estimator {spec!r}: expected log_reg or MODULE:FUNCTION"


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
        choose_estimator(spec)
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
