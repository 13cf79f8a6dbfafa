"""Every gate passes up to its limit and fails beyond it, and says by how much."""

import math
import shutil
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier

from convert.compile.export import export
from convert.compile.features import describe_features
from convert.publishing.candidate import Candidate, make_candidate
from convert.publishing.gates import Gate, check_gates, find_incompatibility, find_served
from convert.publishing.limits import GateLimits
from convert.publishing.precision import SearchResult
from server.contract.signature import Label
from server.contract.types import Type
from server.models.repository import MODEL_FILE
from server.models.session import Session
from tests.convert.conftest import Bench
from tests.support.conversions import compile_here, convert
from tests.support.tables import make_specimen, make_table
from tests.support.workshop import Workshop
from training.artifacts import Artifacts
from training.dataset import Dataset
from training.runlog import RunLog


@pytest.fixture
def candidate(iris_workshop: Workshop, artifacts: Artifacts, result: SearchResult) -> Candidate:
    """A candidate with the very model that is served."""
    run = RunLog(iris_workshop.data_dir).find(1)
    return Candidate(run, artifacts, result, row_us=10.0)


@pytest.fixture
def of_numbers(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Bench, Candidate]:
    """A regressor, and the repository that serves it."""
    compile_here(monkeypatch)
    table = tmp_path / "numbers.csv"
    random = np.random.default_rng(0)
    values = random.uniform(-1, 1, (80, 2))
    noisy = 3 * values[:, 0] - values[:, 1] + random.normal(scale=0.2, size=80)
    rows = [f"{a},{b},{y}" for (a, b), y in zip(values.tolist(), noisy.tolist(), strict=True)]
    table.write_text("\n".join(["a,b,y", *rows]))
    assert bench.train(source=table, target="y") == 0
    assert convert(bench) == 0
    return bench, make_candidate(bench.data_dir, RunLog(bench.data_dir).find(1), 0)


def with_model(candidate: Candidate, estimator: Any) -> Candidate:
    """Return the candidate with the compiled model of another estimator, fitted to the same rows."""
    dataset = candidate.artifacts.dataset
    compiled = export(estimator.fit(dataset.features, dataset.target), describe_features(dataset))
    session = Session(compiled.model, compiled.signature)
    return attrs.evolve(candidate, result=attrs.evolve(candidate.result, compiled=compiled, session=session))


def stump() -> DecisionTreeClassifier:
    """Return an estimator that can tell at most two of three classes apart."""
    return DecisionTreeClassifier(max_depth=1, random_state=0)


def known_score(candidate: Candidate) -> float:
    score = candidate.run.score("test")
    assert score is not None
    return score


def with_held_out(candidate: Candidate, held_out: Dataset) -> Candidate:
    return attrs.evolve(candidate, artifacts=attrs.evolve(candidate.artifacts, held_out=held_out))


def without_values(held_out: Dataset, rows: int) -> Dataset:
    features = held_out.features.copy()
    features.iloc[:rows, 0] = math.nan
    return attrs.evolve(held_out, features=features)


def gate(
    name: str, candidate: Candidate, models_dir: Path, limits: GateLimits | None = None, model: str = "iris"
) -> Gate:
    gates = check_gates(candidate, models_dir, model, limits or GateLimits())
    (found,) = [gate for gate in gates if gate.name == name]
    return found


def test_without_limits_there_are_two_gates_and_the_served_version_is_as_good_as_itself(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    parity, served = check_gates(candidate, iris_workshop.models_dir, "iris", GateLimits())
    rows = candidate.result.proof.certificate.parity.rows
    assert parity == Gate("parity", passed=True, found=0, limit=0, text=f"0 of {rows} rows differ, 0 allowed")
    score = known_score(candidate)
    assert (served.name, served.passed, served.found, served.limit) == ("served", True, score, score - 0.01)
    assert served.text == f"accuracy on the held-out rows {score:.4f}, that of iris/1 {score:.4f}"


def test_a_model_that_has_no_version_yet_is_held_against_none(candidate: Candidate, iris_workshop: Workshop) -> None:
    for models_dir, name in ((iris_workshop.models_dir, "other"), (iris_workshop.models_dir / "nowhere", "iris")):
        served = gate("served", candidate, models_dir, model=name)
        assert served == Gate("served", passed=True, found=None, limit=None, text="no version is served yet")


def test_a_score_is_as_low_as_the_tolerance_lets_it_be_and_no_lower(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    worse = with_model(candidate, stump())
    found = gate("served", worse, iris_workshop.models_dir).found
    assert found is not None
    gap = known_score(candidate) - found
    assert 0.2 < gap < 0.4
    at = gate("served", worse, iris_workshop.models_dir, GateLimits(tolerance=gap + 1e-9))
    assert at.passed
    below = gate("served", worse, iris_workshop.models_dir, GateLimits(tolerance=gap - 1e-9))
    assert not below.passed
    assert below.text == (
        f"accuracy on the held-out rows {found:.4f}, that of iris/1 {found + gap:.4f}: "
        f"lower by {gap:.4f}, more than the tolerance of {gap - 1e-9:g} (--tolerance of convert)"
    )


def test_it_is_the_compiled_model_that_is_scored_whatever_the_log_says_of_its_estimator(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    """With mismatches that were accepted, both are not the same."""
    served = gate("served", with_model(candidate, stump()), iris_workshop.models_dir)
    assert served.found != known_score(candidate)
    gates = check_gates(
        with_model(candidate, stump()), iris_workshop.models_dir, "iris", GateLimits(least_class_score=0.5)
    )
    assert sorted(one.found == 0 for one in gates[2:]) == [False, False, True]


def test_a_row_that_a_server_refuses_counts_as_wrong(candidate: Candidate, iris_workshop: Workshop) -> None:
    """The codec refuses it, though the session might answer it."""
    rows = len(candidate.artifacts.held_out.target)
    for refused in (5, rows):
        asked = with_held_out(candidate, without_values(candidate.artifacts.held_out, refused))
        served = gate("served", asked, iris_workshop.models_dir, GateLimits(tolerance=0.0))
        assert served.limit is not None
        assert served.limit == served.found
        assert served.limit <= 1 - refused / rows


def on_columns(candidate: Candidate, order: slice) -> Candidate:
    """Return a candidate that was trained on some of the columns, or on all in another order."""
    dataset, held_out = candidate.artifacts.dataset, candidate.artifacts.held_out
    *columns, target = dataset.columns
    fewer, fewer_out = (
        attrs.evolve(one, features=one.features.iloc[:, order], columns=(*columns[order], target))
        for one in (dataset, held_out)
    )
    artifacts = attrs.evolve(candidate.artifacts, dataset=fewer, held_out=fewer_out)
    return with_model(attrs.evolve(candidate, artifacts=artifacts), LogisticRegression(solver="newton-cholesky"))


def test_the_features_may_come_in_another_order(candidate: Candidate, iris_workshop: Workshop) -> None:
    served = gate("served", on_columns(candidate, slice(None, None, -1)), iris_workshop.models_dir)
    assert served.limit == known_score(candidate) - 0.01


def test_a_model_of_other_features_or_labels_takes_the_place_of_the_served_one_only_where_that_is_said(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    """As where the wrong run's number is given: all who ask for the model by its name would be refused."""
    models_dir = iris_workshop.models_dir
    dataset = candidate.artifacts.dataset
    codes = attrs.evolve(dataset, target=dataset.target.astype("category").cat.codes.astype(np.int64))
    held_out = candidate.artifacts.held_out
    other_codes = attrs.evolve(held_out, target=held_out.target.astype("category").cat.codes.astype(np.int64))
    numbers = attrs.evolve(candidate.artifacts, dataset=codes, held_out=other_codes)
    amounts = attrs.evolve(numbers, dataset=attrs.evolve(codes, task="regression"))
    others = {
        "takes other values: of 'PetalWidthCm'": on_columns(candidate, slice(0, 3)),
        "answers with labels such as 'Iris-setosa', this one with such as 0": with_model(
            attrs.evolve(candidate, artifacts=numbers), stump()
        ),
        "answers with labels": with_model(attrs.evolve(candidate, artifacts=amounts), LinearRegression()),
    }
    for words, other in others.items():
        failed = gate("served", other, models_dir)
        assert (failed.passed, failed.found, failed.limit) == (False, None, None)
        assert failed.text == (
            f"iris/1 {words}: its clients would be refused or misled; `python -m convert 1 --replace` publishes "
            "all the same, and --name NAME beside it"
        )
        (_, passed, *_) = check_gates(other, models_dir, "iris", GateLimits(), replace=True)
        assert (passed.passed, passed.text) == (
            True,
            f"iris/1 {words}; replaced knowingly, and scores are not compared",
        )


@pytest.mark.parametrize(
    ("before", "now", "is_taken"),
    [
        ("number", "number", True),
        ("integer", "number", True),
        ("number", "integer", False),
        ("boolean", "integer", False),
        ("integer", "boolean", False),
        ("category", "number", False),
        ("number", "category", False),
        ("number, missing", "number", False),
        ("number", "number, missing", True),
    ],
)
def test_a_feature_must_take_whatever_it_took_before(before: str, now: str, is_taken: bool) -> None:  # noqa: FBT001  a parameter
    values, target = np.tile([0.0, 1.0, 1.0, 0.0], 5), ["no", "yes"] * 10
    whole: Type = "integer"
    truth: Type = "boolean"
    tables = {
        "number": make_table(pd.DataFrame({"a": values}), target),
        "number, missing": make_table(pd.DataFrame({"a": [math.nan, *values[1:]]}), target),
        "integer": make_table(pd.DataFrame({"a": values}), target, {"a": whole}),
        "boolean": make_table(pd.DataFrame({"a": values}), target, {"a": truth}),
        "category": make_table(pd.DataFrame({"a": values.astype(str)}), target),
    }
    served, signature = (make_specimen(tables[name], "decision_tree").compiled.signature for name in (before, now))
    assert find_incompatibility(served, signature) == ("" if is_taken else "takes other values: of 'a'")


@pytest.mark.parametrize(
    ("labels", "is_alike"),
    [((0, 1), True), ((1, 2), True), ((2, 3), False), ((False, True), False), (("0", "1"), False)],
)
def test_labels_must_have_some_in_common(candidate: Candidate, labels: tuple[Label, ...], is_alike: bool) -> None:  # noqa: FBT001  a parameter
    signature = candidate.result.compiled.signature
    outputs = tuple(
        attrs.evolve(one, shape=(*one.shape[:1], *([2] if one.shape[1:] else []))) for one in signature.outputs
    )
    served, now = (attrs.evolve(signature, labels=given, outputs=outputs) for given in ((0, 1), labels))
    assert (find_incompatibility(served, now) == "") is is_alike


def test_the_version_now_served_is_the_newest_that_is_sound(candidate: Candidate, workshop: Workshop) -> None:
    shutil.copytree(workshop.version_dir, workshop.models_dir / "iris" / "2")
    (workshop.models_dir / "iris" / "3").mkdir()
    (workshop.models_dir / "iris" / "2" / MODEL_FILE).write_bytes(b"no model")
    served = find_served(workshop.models_dir, "iris")
    assert served is not None
    assert served.manifest.version == 1
    assert "that of iris/1" in gate("served", candidate, workshop.models_dir).text
    (workshop.version_dir / MODEL_FILE).unlink()
    assert find_served(workshop.models_dir, "iris") is None
    assert gate("served", candidate, workshop.models_dir).text == "no version is served yet"


def test_each_class_must_be_answered_well_enough_by_itself(candidate: Candidate, iris_workshop: Workshop) -> None:
    classes = (candidate.run.metrics or {})["test"]["classes"]
    middle = sorted(known["recall"] for known in classes)[1]
    gates = check_gates(candidate, iris_workshop.models_dir, "iris", GateLimits(least_class_score=middle))[2:]
    assert [gate.name for gate in gates] == ["class Iris-setosa", "class Iris-versicolor", "class Iris-virginica"]
    assert [gate.passed for gate in gates] == [known["recall"] >= middle for known in classes]
    (failed,) = [gate for gate in gates if not gate.passed]
    assert failed.found is not None
    assert failed.text == (
        f"{failed.found:.4f} of its held-out rows are answered right, {middle:g} at least: "
        f"lower by {middle - failed.found:.4f}"
    )


@pytest.mark.parametrize(
    ("name", "limit", "what"), [("size", "largest_bytes", "bytes"), ("speed", "largest_row_us", "us for one row")]
)
def test_a_model_may_be_as_large_and_as_slow_as_its_limit_and_no_more(
    candidate: Candidate, iris_workshop: Workshop, name: str, limit: str, what: str
) -> None:
    found = {"size": len(candidate.result.compiled.model), "speed": candidate.row_us}[name]
    at = gate(name, candidate, iris_workshop.models_dir, attrs.evolve(GateLimits(), **{limit: found}))
    assert (at.passed, at.found, at.limit) == (True, found, found)
    assert at.text == f"{found:,.0f} {what}, {found:,.0f} at most"
    beyond = gate(name, candidate, iris_workshop.models_dir, attrs.evolve(GateLimits(), **{limit: found - 3}))
    assert not beyond.passed
    assert beyond.text == f"{found:,.0f} {what}, {found - 3:,.0f} at most: 3 more"
    nothing = gate(name, candidate, iris_workshop.models_dir, attrs.evolve(GateLimits(), **{limit: 0.0}))
    assert not nothing.passed


def test_a_parity_that_fails_fails_its_gate_and_the_others_are_checked_all_the_same(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    proof = candidate.result.proof
    failed = attrs.evolve(proof.certificate.parity, label_mismatches=2, mismatches=3, max_difference=0.1)
    certificate = attrs.evolve(proof.certificate, parity=failed)
    result = attrs.evolve(candidate.result, proof=attrs.evolve(proof, certificate=certificate))
    gates = check_gates(attrs.evolve(candidate, result=result), iris_workshop.models_dir, "iris", GateLimits())
    assert [(gate.name, gate.passed) for gate in gates] == [("parity", False), ("served", True)]
    assert gates[0].text == f"3 of {failed.rows} rows differ, 0 allowed"
    assert (gates[0].found, gates[0].limit) == (3, 0)


def test_a_model_whose_answers_move_with_their_neighbours_does_not_pass(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    proof = candidate.result.proof
    moving = attrs.evolve(proof, certificate=attrs.evolve(proof.certificate, neighbours_difference=0.5))
    moved = attrs.evolve(candidate, result=attrs.evolve(candidate.result, proof=moving))
    failed = gate("parity", moved, iris_workshop.models_dir)
    assert (failed.passed, moved.passed) == (False, False)
    assert failed.text.endswith("; with its neighbours a row's answer moves by 5.0e-01")


def test_a_regressor_is_held_against_the_served_one_and_against_a_floor(of_numbers: tuple[Bench, Candidate]) -> None:
    bench, candidate = of_numbers
    models_dir, known = bench.models_dir, known_score(candidate)
    assert candidate.metric == "r2"
    served = gate("served", candidate, models_dir, model="numbers")
    assert served.passed
    assert served.limit == pytest.approx(known - 0.01, abs=1e-6)
    mean = with_model(candidate, Ridge(alpha=1e6))
    worse = gate("served", mean, models_dir, model="numbers")
    assert not worse.passed
    assert worse.found == pytest.approx(0.0, abs=0.1)
    assert worse.text.startswith(f"r2 on the held-out rows {worse.found:.4f}, that of numbers/1 {known:.4f}: lower by")
    at = gate("score", candidate, models_dir, GateLimits(least_class_score=known - 1e-6))
    assert (at.passed, at.text) == (True, f"{known:.4f} R² on the held-out rows, {known - 1e-6:g} at least")
    below = gate("score", mean, models_dir, GateLimits(least_class_score=known))
    assert not below.passed
    assert ": lower by " in below.text


def test_the_mean_stands_for_what_a_regressor_does_not_answer(of_numbers: tuple[Bench, Candidate]) -> None:
    bench, candidate = of_numbers
    found = [known_score(candidate)]
    for refused in (1, 10, len(candidate.artifacts.held_out.target)):
        asked = with_held_out(candidate, without_values(candidate.artifacts.held_out, refused))
        known = gate("score", asked, bench.models_dir, GateLimits(least_class_score=0.0), model="numbers")
        assert known.found is not None
        found.append(known.found)
    assert sorted(found, reverse=True) == found
    assert found[-1] == pytest.approx(0.0, abs=1e-12)
