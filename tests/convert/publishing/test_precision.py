"""The precision search takes the cheapest precision that is proven, and keeps the faults of those before it."""

from collections.abc import Mapping

import attrs
import pytest

from convert.compile.export import PRECISIONS, Compiled, Precision, export
from convert.errors import ConvertError
from convert.parity.proof import Proof, prove
from convert.publishing.precision import Attempt, SearchResult, search_precision
from server.contract.manifest import Parity
from server.errors import RefusedError
from server.models.session import Session
from tests.support.tables import Specimen, make_specimen, mixed_table
from training.estimators import choose_estimator

Outcome = int | Exception
"""How many mismatches a precision has, or how it fails."""


@pytest.fixture
def search(compiled: Compiled, session: Session, proof: Proof) -> "Search":
    return Search(compiled, session, proof)


@attrs.frozen(eq=False)
class Search:
    """Search with a given outcome for each precision, and note what is tried."""

    compiled: Compiled
    session: Session
    proof: Proof
    tried: list[str] = attrs.field(factory=list)

    def __call__(self, outcomes: Mapping[Precision, Outcome], allowed_mismatches: int = 0) -> SearchResult:
        def compile_model(precision: Precision) -> Compiled:
            self.tried.append(precision)
            outcome = outcomes[precision]
            if isinstance(outcome, ConvertError):
                raise outcome
            return attrs.evolve(self.compiled, model=precision.encode())

        def prove_model(compiled: Compiled) -> tuple[Session, Proof]:
            outcome = outcomes["float32" if compiled.model == b"float32" else "float64"]
            if isinstance(outcome, Exception):
                raise outcome
            return self.session, self.with_mismatches(outcome)

        return search_precision(compile_model, prove_model, allowed_mismatches)

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


def test_the_cheapest_is_tried_first_and_where_it_passes_no_other(search: Search) -> None:
    result = search({"float32": 0, "float64": 0})
    assert PRECISIONS == ("float32", "float64")
    assert search.tried == ["float32"]
    assert result.attempts == (Attempt("float32", None),)
    assert result.compiled.model == b"float32"
    assert result.proof.certificate.parity.passed


def test_where_the_cheapest_fails_the_next_is_taken_and_the_reason_kept(search: Search) -> None:
    result = search({"float32": 5, "float64": 0})
    assert search.tried == ["float32", "float64"]
    refused, taken = result.attempts
    reason = "5 of 100 rows differ, 2 of them in the label; a number by 2.5e-01, and with its neighbours by "
    assert (refused.precision, str(refused.fault).startswith(reason)) == ("float32", True)
    assert taken == Attempt("float64", None)
    assert result.compiled.model == b"float64"
    assert result.proof.certificate.parity.passed


@pytest.mark.parametrize("fault", [ConvertError("no converter"), RefusedError("onnxruntime cannot load the model: no")])
def test_a_precision_that_cannot_be_compiled_or_compared_is_passed_over(search: Search, fault: Exception) -> None:
    result = search({"float32": fault, "float64": 0})
    assert result.attempts == (Attempt("float32", str(fault)), Attempt("float64", None))
    assert result.compiled.model == b"float64"
    result = search({"float32": 3, "float64": fault})
    assert [attempt.fault is None for attempt in result.attempts] == [False, False]
    assert result.attempts[1].fault == str(fault)
    assert result.compiled.model == b"float32"
    assert not result.proof.certificate.parity.passed


def test_where_nothing_can_be_compiled_each_reason_is_given(search: Search) -> None:
    with pytest.raises(ConvertError, match=r"^float32: no converter; float64: not loaded$"):
        search({"float32": ConvertError("no converter"), "float64": RefusedError("not loaded")})


def test_any_other_error_is_not_taken_for_a_reason(search: Search) -> None:
    with pytest.raises(ZeroDivisionError):
        search({"float32": ZeroDivisionError(), "float64": 0})


@pytest.mark.parametrize(("outcomes", "closest"), [((5, 3), b"float64"), ((3, 5), b"float32"), ((4, 4), b"float32")])
def test_where_none_passes_the_closest_is_given_as_one_that_did_not(
    search: Search, outcomes: tuple[int, int], closest: bytes
) -> None:
    result = search(dict(zip(PRECISIONS, outcomes, strict=True)))
    assert result.compiled.model == closest
    assert not result.proof.certificate.parity.passed
    assert all(attempt.fault for attempt in result.attempts)


@pytest.mark.parametrize(("allowed", "passed"), [(2, False), (3, True), (100, True)])
def test_as_many_mismatches_as_are_allowed_are_accepted_of_the_closest(
    search: Search, allowed: int, *, passed: bool
) -> None:
    result = search({"float32": 5, "float64": 3}, allowed)
    parity = result.proof.certificate.parity
    assert result.compiled.model == b"float64"
    assert (parity.passed, parity.mismatches) == (passed, 3)
    assert parity.allowed_mismatches == (allowed if passed else 0)
    assert result.attempts[0].fault is not None
    assert (result.attempts[1].fault is None) is passed


def test_what_is_proven_is_taken_before_what_is_only_allowed(search: Search) -> None:
    result = search({"float32": 1, "float64": 0}, 10)
    assert result.compiled.model == b"float64"
    assert result.proof.certificate.parity.allowed_mismatches == 0


@pytest.fixture(scope="module")
def histogram() -> Specimen:
    """A booster that compares to its thresholds in float64."""
    dataset = mixed_table()
    named = choose_estimator("hist_gradient_boosting", dataset.task, dataset.columns[:-1]).estimator
    return make_specimen(dataset, named.set_params(model__max_iter=3, model__min_samples_leaf=5))


def search_really(specimen: Specimen, proven: Specimen) -> SearchResult:
    """Compile one estimator, and compare the model to the answers of another, or its own."""

    def prove_model(compiled: Compiled) -> tuple[Session, Proof]:
        session = Session(compiled.model, compiled.signature)
        return session, prove(proven.estimator, compiled, proven.probes, make_session=lambda *_: session)

    features = specimen.compiled.signature.features
    return search_precision(lambda precision: export(specimen.estimator, features, precision), prove_model, 0)


def test_trees_that_compare_in_float32_are_taken_in_float32() -> None:
    tree = make_specimen(mixed_table(), "decision_tree")
    result = search_really(tree, tree)
    assert result.attempts == (Attempt("float32", None),)
    assert result.compiled.signature.inputs[0].datatype == "FP32"


def test_trees_that_compare_in_float64_are_taken_in_float64(histogram: Specimen) -> None:
    result = search_really(histogram, histogram)
    assert [attempt.precision for attempt in result.attempts if attempt.fault] == ["float32"]
    assert " rows differ, " in str(result.attempts[0].fault)
    assert result.compiled.signature.inputs[0].datatype == "FP64"
    assert result.proof.certificate.parity.passed
    assert {one.kind: one.mismatches for one in result.proof.certificate.compared}["at thresholds"] == 0


def test_an_estimator_that_is_not_what_was_compiled_passes_in_no_precision(
    histogram: Specimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.parity.proof.RECHECKED_ROWS", 1)
    result = search_really(histogram, make_specimen(mixed_table(), "decision_tree"))
    assert not result.proof.certificate.parity.passed
    assert all(attempt.fault for attempt in result.attempts)


def test_a_model_whose_answers_move_with_their_neighbours_is_not_taken_unless_that_is_accepted(
    compiled: Compiled, session: Session, proof: Proof
) -> None:
    moving = attrs.evolve(proof, certificate=attrs.evolve(proof.certificate, neighbours_difference=1.0))
    assert moving.certificate.parity.passed
    result = search_precision(lambda _: compiled, lambda _: (session, moving), 0)
    assert not result.proof.certificate.passed
    assert [attempt.fault for attempt in result.attempts if attempt.fault] == [
        attempt.fault for attempt in result.attempts
    ]
    assert str(result.attempts[0].fault).endswith("and with its neighbours by 1.0e+00")
    assert search_precision(lambda _: compiled, lambda _: (session, moving), 1).proof.certificate.passed
