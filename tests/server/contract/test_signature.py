"""A signature with inconsistent facts is refused, with an error that names the fact."""

import math
from typing import Any

import attrs
import pytest

from server.contract.signature import Feature, Label, Signature, Tensor
from tests.support.signatures import feature, signature_of

MIXED = signature_of([feature("c", "category"), feature("n", "number"), feature("b", "boolean")])


@pytest.mark.parametrize(
    ("inputs", "features"),
    [
        ((Tensor("numbers", "FP32", (-1, 2)),), "nib"),
        ((Tensor("categories", "BYTES", (-1, 1)),), "c"),
        ((Tensor("numbers", "FP64", (-1, 1)), Tensor("categories", "BYTES", (-1, 2))), "cnc"),
    ],
)
def test_an_input_has_a_column_for_each_feature_of_its_kind(inputs: tuple[Tensor, ...], features: str) -> None:
    kinds: Any = {"n": "number", "i": "integer", "b": "boolean", "c": "category"}
    made = [feature(f"{index}", kinds[letter]) for index, letter in enumerate(features)]
    if len(made) == sum(tensor.shape[1] for tensor in inputs):
        assert attrs.evolve(MIXED, inputs=inputs, features=tuple(made)).inputs == inputs
    else:
        with pytest.raises(ValueError, match=r"^expected the shapes \[\(-1, 3\), \(-1,\), \(-1, 2\)\], got "):
            attrs.evolve(MIXED, inputs=inputs, features=tuple(made))


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("features", "FP32", (-1, 2)),
        Tensor("numbers", "INT64", (-1, 2)),
        Tensor("numbers", "BYTES", (-1, 2)),
        Tensor("categories", "FP32", (-1, 2)),
    ],
)
def test_an_input_that_no_session_can_fill_is_refused(tensor: Tensor) -> None:
    with pytest.raises(ValueError, match=r"^expected inputs of .*numbers.*FP32.*FP64.*categories.*BYTES.*, got Tensor"):
        attrs.evolve(MIXED, inputs=(tensor, MIXED.inputs[1]))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"features": ()}, "Length of 'features'"),
        ({"features": (*MIXED.features[:2], MIXED.features[0])}, "expected features that differ, got ['c', 'n', 'c']"),
        ({"labels": ("a", "a")}, "expected labels that differ, got ('a', 'a')"),
        ({"labels": (True, 1)}, "expected labels that differ, got (True, 1)"),
        ({"labels": ("a",)}, "expected two labels or more, or none, got ('a',)"),
        ({"labels": ("a", "b", "c")}, "expected the shapes [(-1, 2), (-1, 1), (-1,), (-1, 3)], got "),
        ({"labels": ()}, "expected the shapes [(-1, 2), (-1, 1), (-1, 1)], got "),
        ({"inputs": MIXED.inputs[:1]}, "expected the shapes [(-1, 2), (-1, 1), (-1,), (-1, 2)], got "),
        ({"inputs": MIXED.inputs[::-1]}, "expected the shapes [(-1, 2), (-1, 1), (-1,), (-1, 2)], got "),
        ({"outputs": MIXED.outputs[:1]}, "expected the shapes [(-1, 2), (-1, 1), (-1,), (-1, 2)], got "),
    ],
)
def test_inconsistent_facts_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=r"^.") as refused:
        attrs.evolve(MIXED, **changes)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize(("labels", "is_regressor"), [((), True), ((False, True), False), (("a", "b", "c"), False)])
def test_a_model_without_labels_is_a_regressor(labels: tuple[Label, ...], *, is_regressor: bool) -> None:
    signature: Signature = signature_of([feature("n", "number")], labels)
    assert signature.is_regressor is is_regressor


STEPS, WORDS = (0.0, 1.0, 2.0, 3.0, 4.0), ("blue", "red")


@pytest.mark.parametrize(
    ("kind", "quantiles", "vocabulary"),
    [
        ("category", (), ()),
        ("category", STEPS, WORDS),
        ("category", (), ("", "red")),
    ],
)
def test_a_category_has_a_vocabulary_without_empty_text_and_no_quantiles(
    kind: Any, quantiles: tuple[float, ...], vocabulary: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=r"^expected a vocabulary, without an empty text, of 'x', got Feature\("):
        Feature("x", kind, nullable=True, quantiles=quantiles, vocabulary=vocabulary)


@pytest.mark.parametrize("kind", ["number", "integer", "boolean"])
@pytest.mark.parametrize(
    ("quantiles", "vocabulary"),
    [((), ()), (STEPS[:4], ()), ((*STEPS, 5.0), ()), (STEPS[::-1], ()), (STEPS, WORDS), ((), WORDS)],
)
def test_other_types_have_five_rising_quantiles_and_no_vocabulary(
    kind: Any, quantiles: tuple[float, ...], vocabulary: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=r"^expected 5 rising quantiles of 'x', got Feature\("):
        Feature("x", kind, nullable=False, quantiles=quantiles, vocabulary=vocabulary)


def test_a_missing_value_is_empty_text_or_nan() -> None:
    assert feature("c", "category").missing == ""
    for kind in ("number", "integer", "boolean"):
        missing = feature("n", kind).missing
        assert isinstance(missing, float)
        assert math.isnan(missing)
