"""A name, or MODULE:FUNCTION, gives an unfitted classifier or a refusal that says why not."""

from pathlib import Path

import pytest
from sklearn.pipeline import Pipeline

from training.errors import TrainingError
from training.estimators import choose_estimator

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
        ("own_estimators:a_class", "gives the class LogisticRegression: expected an object of it"),
        ("own_estimators:regressor", "is a LinearRegression without predict_proba"),
        ("own_estimators:unsure", "is a SVC without predict_proba"),
        ("own_estimators:nothing", "is a NoneType without fit, predict, predict_proba, get_params"),
    ],
)
def test_what_is_no_classifier_with_probabilities_is_refused(spec: str, fault: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        choose_estimator(spec)
    assert str(refusal.value) == f"estimator {spec!r} {fault}"
