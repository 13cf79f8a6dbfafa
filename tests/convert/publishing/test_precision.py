"""The cheapest precision that is proven is taken, and why those before it were not is kept."""

from collections.abc import Mapping

import attrs
import pytest

from convert.compile.export import PRECISIONS, Compiled, Precision, export
from convert.errors import ConvertError
from convert.parity.proof import Proof, prove
from convert.publishing.precision import Climb, Rung, climb
from server.contract.manifest import Parity
from server.errors import RefusedError
from tests.support.tables import Specimen, make_specimen, mixed_table
from training.estimators import choose_estimator

Outcome = int | Exception
"""How many mismatches a precision has, or how it fails."""


@pytest.fixture
def climb_to(compiled: Compiled, proof: Proof) -> "Climber":
    return Climber(compiled, proof)


@attrs.frozen(eq=False)
class Climber:
    """Climbs where each precision has a given outcome, and notes what is tried."""

    compiled: Compiled
    proof: Proof
    tried: list[str] = attrs.field(factory=list)

    def __call__(self, outcomes: Mapping[Precision, Outcome], allowed_mismatches: int = 0) -> Climb:
        def compile_model(precision: Precision) -> Compiled:
            self.tried.append(precision)
            outcome = outcomes[precision]
            if isinstance(outcome, ConvertError):
                raise outcome
            return attrs.evolve(self.compiled, model=precision.encode())

        def prove_model(compiled: Compiled) -> Proof:
            outcome = outcomes["float32" if compiled.model == b"float32" else "float64"]
            if isinstance(outcome, Exception):
                raise outcome
            return self.with_mismatches(outcome)

        return climb(compile_model, prove_model, allowed_mismatches)

    def with_mismatches(self, count: int) -> Proof:
        parity = Parity(
            rows=100,
            max_batch_rows=8,
            label_mismatches=count // 2,
            mismatches=count,
            max_difference=0.25 if count else 0,
            tolerance=1e-5,
        )
        return attrs.evolve(self.proof, certificate=attrs.evolve(self.proof.certificate, parity=parity))


def test_the_cheapest_is_tried_first_and_where_it_passes_no_other(climb_to: Climber) -> None:
    climbed = climb_to({"float32": 0, "float64": 0})
    assert PRECISIONS == ("float32", "float64")
    assert climb_to.tried == ["float32"]
    assert climbed.rungs == (Rung("float32", None),)
    assert climbed.compiled.model == b"float32"
    assert climbed.proof.certificate.parity.passed


def test_where_the_cheapest_fails_the_next_is_taken_and_the_reason_kept(climb_to: Climber) -> None:
    climbed = climb_to({"float32": 5, "float64": 0})
    assert climb_to.tried == ["float32", "float64"]
    refused, taken = climbed.rungs
    reason = "5 of 100 rows differ, 2 of them in the label; a number by 2.5e-01, and with its neighbours by "
    assert (refused.precision, str(refused.fault).startswith(reason)) == ("float32", True)
    assert taken == Rung("float64", None)
    assert climbed.compiled.model == b"float64"
    assert climbed.proof.certificate.parity.passed


@pytest.mark.parametrize("fault", [ConvertError("no converter"), RefusedError("onnxruntime cannot load the model: no")])
def test_a_rung_that_cannot_be_compiled_or_compared_is_passed_over(climb_to: Climber, fault: Exception) -> None:
    climbed = climb_to({"float32": fault, "float64": 0})
    assert climbed.rungs == (Rung("float32", str(fault)), Rung("float64", None))
    assert climbed.compiled.model == b"float64"
    climbed = climb_to({"float32": 3, "float64": fault})
    assert [rung.fault is None for rung in climbed.rungs] == [False, False]
    assert climbed.rungs[1].fault == str(fault)
    assert climbed.compiled.model == b"float32"
    assert not climbed.proof.certificate.parity.passed


def test_where_nothing_can_be_compiled_each_reason_is_told(climb_to: Climber) -> None:
    with pytest.raises(ConvertError, match=r"^float32: no converter; float64: not loaded$"):
        climb_to({"float32": ConvertError("no converter"), "float64": RefusedError("not loaded")})


def test_any_other_error_is_not_taken_for_a_reason(climb_to: Climber) -> None:
    with pytest.raises(ZeroDivisionError):
        climb_to({"float32": ZeroDivisionError(), "float64": 0})


@pytest.mark.parametrize(("outcomes", "closest"), [((5, 3), b"float64"), ((3, 5), b"float32"), ((4, 4), b"float32")])
def test_where_none_passes_the_closest_is_given_as_one_that_did_not(
    climb_to: Climber, outcomes: tuple[int, int], closest: bytes
) -> None:
    climbed = climb_to(dict(zip(PRECISIONS, outcomes, strict=True)))
    assert climbed.compiled.model == closest
    assert not climbed.proof.certificate.parity.passed
    assert all(rung.fault for rung in climbed.rungs)


@pytest.mark.parametrize(("allowed", "passed"), [(2, False), (3, True), (100, True)])
def test_as_many_mismatches_as_are_allowed_are_accepted_of_the_closest(
    climb_to: Climber, allowed: int, *, passed: bool
) -> None:
    climbed = climb_to({"float32": 5, "float64": 3}, allowed)
    parity = climbed.proof.certificate.parity
    assert climbed.compiled.model == b"float64"
    assert (parity.passed, parity.mismatches) == (passed, 3)
    assert parity.allowed_mismatches == (allowed if passed else 0)
    assert climbed.rungs[0].fault is not None
    assert (climbed.rungs[1].fault is None) is passed


def test_what_is_proven_is_taken_before_what_is_only_allowed(climb_to: Climber) -> None:
    climbed = climb_to({"float32": 1, "float64": 0}, 10)
    assert climbed.compiled.model == b"float64"
    assert climbed.proof.certificate.parity.allowed_mismatches == 0


@pytest.fixture(scope="module")
def histogram() -> Specimen:
    """A booster that asks its thresholds in float64."""
    dataset = mixed_table()
    named = choose_estimator("hist_gradient_boosting", dataset.task, dataset.columns[:-1]).estimator
    return make_specimen(dataset, named.set_params(model__max_iter=3, model__min_samples_leaf=5))


def climb_really(specimen: Specimen, allowed_mismatches: int = 0) -> Climb:
    return climb(
        lambda precision: export(specimen.estimator, specimen.compiled.signature.features, precision),
        lambda compiled: prove(specimen.estimator, compiled, specimen.probes),
        allowed_mismatches,
    )


def test_trees_that_ask_in_float32_are_taken_in_float32() -> None:
    climbed = climb_really(make_specimen(mixed_table(), "decision_tree"))
    assert climbed.rungs == (Rung("float32", None),)
    assert climbed.compiled.signature.inputs[0].datatype == "FP32"


def test_trees_that_ask_in_float64_are_taken_in_float64(histogram: Specimen) -> None:
    climbed = climb_really(histogram)
    assert [rung.precision for rung in climbed.rungs if rung.fault] == ["float32"]
    assert " rows differ, " in str(climbed.rungs[0].fault)
    assert climbed.compiled.signature.inputs[0].datatype == "FP64"
    assert climbed.proof.certificate.parity.passed
    assert {one.kind: one.mismatches for one in climbed.proof.certificate.compared}["at thresholds"] == 0


def test_an_estimator_that_is_not_what_was_compiled_passes_in_no_precision(
    histogram: Specimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.parity.proof.RECHECKED_ROWS", 1)
    other = make_specimen(mixed_table(), "decision_tree")
    climbed = climb(
        lambda precision: export(histogram.estimator, histogram.compiled.signature.features, precision),
        lambda compiled: prove(other.estimator, compiled, other.probes),
        0,
    )
    assert not climbed.proof.certificate.parity.passed
    assert all(rung.fault for rung in climbed.rungs)


def test_a_model_whose_answers_move_with_their_neighbours_is_not_taken_unless_that_is_accepted(
    compiled: Compiled, proof: Proof
) -> None:
    moving = attrs.evolve(proof, certificate=attrs.evolve(proof.certificate, neighbours_difference=1.0))
    assert moving.certificate.parity.passed
    climbed = climb(lambda _: compiled, lambda _: moving, 0)
    assert not climbed.proof.certificate.passed
    assert [rung.fault for rung in climbed.rungs if rung.fault] == [rung.fault for rung in climbed.rungs]
    assert str(climbed.rungs[0].fault).endswith("and with its neighbours by 1.0e+00")
    assert climb(lambda _: compiled, lambda _: moving, 1).proof.certificate.passed
