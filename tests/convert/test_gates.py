"""Every gate is open up to its limit and closed beyond it, and says by how much."""

import math
import shutil
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from convert.candidate import Candidate, make_candidate
from convert.export import Compiled
from convert.gates import Gate, check_gates, find_served
from convert.ladder import Climb, Rung
from convert.limits import Limits
from convert.parity import Proof
from server.repository import MODEL_FILE
from tests.conftest import Workshop
from tests.convert.conftest import Bench
from tests.convert.conversions import compile_here, convert
from training.artifacts import Artifacts
from training.dataset import Dataset
from training.runlog import RunLog


@pytest.fixture
def candidate(iris_workshop: Workshop, left: Artifacts, compiled: Compiled, proof: Proof) -> Candidate:
    """The very model that is served."""
    run = RunLog(iris_workshop.data_dir).find(1)
    return Candidate(run, left, Climb(compiled, proof, (Rung("float32", None),)), row_us=10.0)


@pytest.fixture
def of_numbers(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Bench, Candidate]:
    """A regressor, and where it is served."""
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


def with_score(candidate: Candidate, score: float) -> Candidate:
    metrics: dict[str, Any] = candidate.run.metrics or {}
    test = metrics["test"] | {candidate.metric: score}
    return attrs.evolve(candidate, run=attrs.evolve(candidate.run, metrics=metrics | {"test": test}))


def with_held_out(candidate: Candidate, held_out: Dataset) -> Candidate:
    return attrs.evolve(candidate, left=attrs.evolve(candidate.left, held_out=held_out))


def without_values(held_out: Dataset, rows: int) -> Dataset:
    features = held_out.features.copy()
    features.iloc[:rows, 0] = math.nan
    return attrs.evolve(held_out, features=features)


def gate(name: str, candidate: Candidate, models_dir: Path, limits: Limits | None = None, model: str = "iris") -> Gate:
    gates = check_gates(candidate, models_dir, model, limits or Limits())
    (found,) = [gate for gate in gates if gate.name == name]
    return found


def test_without_limits_there_are_two_gates_and_the_served_version_is_as_good_as_itself(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    parity, served = check_gates(candidate, iris_workshop.models_dir, "iris", Limits())
    rows = candidate.climbed.proof.certificate.parity.rows
    assert parity == Gate("parity", passed=True, found=0, limit=0, text=f"0 of {rows} rows differ, 0 allowed")
    score = candidate.score
    assert (served.name, served.passed, served.found, served.limit) == ("served", True, score, score - 0.01)
    assert served.text == f"accuracy on the held-out rows {score:.4f}, that of iris/1 {score:.4f}"


def test_a_model_that_has_no_version_yet_is_held_against_none(candidate: Candidate, iris_workshop: Workshop) -> None:
    for models_dir, name in ((iris_workshop.models_dir, "other"), (iris_workshop.models_dir / "nowhere", "iris")):
        served = gate("served", candidate, models_dir, model=name)
        assert served == Gate("served", passed=True, found=None, limit=None, text="no version is served yet")


def test_a_score_is_as_low_as_the_tolerance_lets_it_be_and_no_lower(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    known = candidate.score
    at = gate("served", with_score(candidate, known - 0.01), iris_workshop.models_dir)
    assert (at.passed, at.found, at.limit) == (True, known - 0.01, known - 0.01)
    below = gate("served", with_score(candidate, math.nextafter(known - 0.01, 0)), iris_workshop.models_dir)
    assert not below.passed
    assert below.text == (
        f"accuracy on the held-out rows {known - 0.01:.4f}, that of iris/1 {known:.4f}: "
        "lower by 0.0100, more than the tolerance of 0.01"
    )
    assert gate("served", with_score(candidate, 0.5), iris_workshop.models_dir, Limits(tolerance=0.5)).passed
    assert not gate("served", with_score(candidate, 0.5), iris_workshop.models_dir, Limits(tolerance=0.0)).passed


def test_a_row_that_the_served_version_refuses_counts_as_wrong(candidate: Candidate, iris_workshop: Workshop) -> None:
    rows = len(candidate.left.held_out.target)
    for refused in (5, rows):
        asked = with_held_out(candidate, without_values(candidate.left.held_out, refused))
        served = gate("served", asked, iris_workshop.models_dir, Limits(tolerance=0.0))
        assert served.limit is not None
        assert served.limit <= 1 - refused / rows
        assert served.passed


def test_the_held_out_rows_columns_may_come_in_another_order(candidate: Candidate, iris_workshop: Workshop) -> None:
    held_out = candidate.left.held_out
    *columns, target = held_out.columns
    turned = attrs.evolve(held_out, features=held_out.features.iloc[:, ::-1], columns=(*columns[::-1], target))
    served = gate("served", with_held_out(candidate, turned), iris_workshop.models_dir)
    assert served.limit == candidate.score - 0.01


def test_a_served_version_of_other_features_or_of_another_task_is_no_measure(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    held_out = candidate.left.held_out
    first, *others = held_out.columns
    one_less = attrs.evolve(held_out, features=held_out.features.iloc[:, 1:], columns=tuple(others))
    category = attrs.evolve(held_out, columns=(attrs.evolve(first, kind="category"), *others))
    renamed = attrs.evolve(held_out, columns=(attrs.evolve(first, name="Petals"), *others))
    for other in (one_less, category, renamed, attrs.evolve(held_out, task="regression")):
        served = gate("served", with_held_out(with_score(candidate, 0.1), other), iris_workshop.models_dir)
        assert (served.passed, served.found, served.limit) == (True, None, None)
        assert served.text.startswith("iris/1 is of other features or another task")


def test_a_whole_number_where_there_were_numbers_is_no_other_feature(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    first, *others = candidate.left.held_out.columns
    whole = attrs.evolve(candidate.left.held_out, columns=(attrs.evolve(first, kind="integer"), *others))
    assert not gate("served", with_held_out(with_score(candidate, 0.1), whole), iris_workshop.models_dir).passed


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
    gates = check_gates(candidate, iris_workshop.models_dir, "iris", Limits(least_class_score=middle))[2:]
    assert [gate.name for gate in gates] == ["class Iris-setosa", "class Iris-versicolor", "class Iris-virginica"]
    assert [gate.passed for gate in gates] == [known["recall"] >= middle for known in classes]
    (closed,) = [gate for gate in gates if not gate.passed]
    assert closed.found is not None
    assert closed.text == (
        f"{closed.found:.4f} of its held-out rows are answered right, {middle:g} at least: "
        f"lower by {middle - closed.found:.4f}"
    )


@pytest.mark.parametrize(
    ("name", "limit", "what"), [("size", "largest_bytes", "bytes"), ("speed", "largest_row_us", "us for one row")]
)
def test_a_model_may_be_as_large_and_as_slow_as_its_limit_and_no_more(
    candidate: Candidate, iris_workshop: Workshop, name: str, limit: str, what: str
) -> None:
    found = {"size": len(candidate.climbed.compiled.model), "speed": candidate.row_us}[name]
    at = gate(name, candidate, iris_workshop.models_dir, attrs.evolve(Limits(), **{limit: found}))
    assert (at.passed, at.found, at.limit) == (True, found, found)
    assert at.text == f"{found:,.0f} {what}, {found:,.0f} at most"
    beyond = gate(name, candidate, iris_workshop.models_dir, attrs.evolve(Limits(), **{limit: found - 3}))
    assert not beyond.passed
    assert beyond.text == f"{found:,.0f} {what}, {found - 3:,.0f} at most: 3 more"
    nothing = gate(name, candidate, iris_workshop.models_dir, attrs.evolve(Limits(), **{limit: 0.0}))
    assert not nothing.passed


def test_a_parity_that_fails_closes_its_gate_and_the_others_are_looked_at_all_the_same(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    proof = candidate.climbed.proof
    failed = attrs.evolve(proof.certificate.parity, label_mismatches=2, mismatches=3, max_difference=0.1)
    certificate = attrs.evolve(proof.certificate, parity=failed)
    climbed = attrs.evolve(candidate.climbed, proof=attrs.evolve(proof, certificate=certificate))
    gates = check_gates(attrs.evolve(candidate, climbed=climbed), iris_workshop.models_dir, "iris", Limits())
    assert [(gate.name, gate.passed) for gate in gates] == [("parity", False), ("served", True)]
    assert gates[0].text == f"3 of {failed.rows} rows differ, 0 allowed"
    assert (gates[0].found, gates[0].limit) == (3, 0)


def test_a_model_whose_answers_move_with_their_neighbours_does_not_pass(
    candidate: Candidate, iris_workshop: Workshop
) -> None:
    proof = candidate.climbed.proof
    moving = attrs.evolve(proof, certificate=attrs.evolve(proof.certificate, neighbours_difference=0.5))
    shut = attrs.evolve(candidate, climbed=attrs.evolve(candidate.climbed, proof=moving))
    closed = gate("parity", shut, iris_workshop.models_dir)
    assert (closed.passed, shut.passed) == (False, False)
    assert closed.text.endswith("; with its neighbours a row's answer moves by 5.0e-01")


def test_a_regressor_is_held_against_the_served_one_and_against_a_floor(of_numbers: tuple[Bench, Candidate]) -> None:
    bench, candidate = of_numbers
    models_dir, known = bench.models_dir, candidate.score
    assert candidate.metric == "r2"
    served = gate("served", candidate, models_dir, model="numbers")
    assert served.passed
    assert served.limit == pytest.approx(known - 0.01, abs=1e-6)
    worse = gate("served", with_score(candidate, known - 0.02), models_dir, model="numbers")
    assert not worse.passed
    assert worse.text.startswith(f"r2 on the held-out rows {known - 0.02:.4f}, that of numbers/1 {known:.4f}: lower by")
    at = gate("score", candidate, models_dir, Limits(least_class_score=known))
    assert (at.passed, at.text) == (True, f"{known:.4f} R² on the held-out rows, {known:g} at least")
    below = gate("score", with_score(candidate, known - 0.5), models_dir, Limits(least_class_score=known))
    assert not below.passed
    assert below.text.endswith(": lower by 0.5000")


def test_a_regressor_that_refuses_a_held_out_row_is_no_measure(of_numbers: tuple[Bench, Candidate]) -> None:
    bench, candidate = of_numbers
    for refused in (1, len(candidate.left.held_out.target)):
        asked = with_held_out(with_score(candidate, -1.0), without_values(candidate.left.held_out, refused))
        served = gate("served", asked, bench.models_dir, model="numbers")
        assert (served.passed, served.limit) == (True, None)
        assert served.text.endswith("or is a regressor that does not answer every held-out row")
