"""The facts in a manifest must agree with each other, both when it is written and when it is read."""

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from server.contract.manifest import MAX_TOLERANCE, GoldenRow, Manifest
from server.contract.signature import Feature, Signature
from server.errors import RefusedError
from tests.support.workshop import Workshop

Facts = dict[str, Any]
LABELS = "('Iris-setosa', 'Iris-versicolor', 'Iris-virginica')"


@pytest.fixture
def manifest(iris_workshop: Workshop) -> Manifest:
    return iris_workshop.manifest()


def test_a_manifest_is_read_back_as_it_was_written(manifest: Manifest) -> None:
    odd = attrs.evolve(manifest.signature.features[0], name='say "cm" (花)')
    signature = attrs.evolve(
        manifest.signature,
        features=(odd, *manifest.signature.features[1:]),
        labels=("a,b\n", "", "\x00"),
    )
    golden = GoldenRow(row={odd.name: 0.1}, output="a,b\n", probabilities=(0.1, 1 / 3, 5e-324))
    written = attrs.evolve(manifest, signature=signature, golden=(golden,))
    assert Manifest.from_json(written.to_json()) == written


def set_fact(value: object, *path: str | int) -> Callable[[Facts], None]:
    def change(facts: Any) -> None:
        for step in path[:-1]:
            facts = facts[step]
        facts[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_fact(1, "format"), "expected format 2, got 1"),
        (set_fact(1, "parity", "label_mismatches"), "expected figures that agree with each other, got Parity("),
        (set_fact(1, "parity", "mismatches"), "expected figures that agree with each other, got Parity("),
        (set_fact(2e-5, "parity", "max_difference"), "expected figures that agree with each other, got Parity("),
        (set_fact(0.0011, "parity", "tolerance"), "expected a parity that passed within 0.001, got Parity("),
        (set_fact("Iris-nova", "golden", 3, "output"), f"expected golden rows with the labels {LABELS}, got "),
        (set_fact([0.5, 0.5], "golden", 11, "probabilities"), f"expected golden rows with the labels {LABELS}, got "),
        (
            set_fact("PetalWidthCm", "signature", "features", 0, "name"),
            "expected features that differ, got ['PetalWidthCm', 'SepalWidthCm', 'PetalLengthCm', 'PetalWidthCm']",
        ),
        (
            set_fact("Iris-setosa", "signature", "labels", 2),
            "expected labels that differ, got ('Iris-setosa', 'Iris-versicolor', 'Iris-setosa')",
        ),
        (
            set_fact([-1, 5], "signature", "inputs", 0, "shape"),
            "expected the shapes [(-1, 4), (-1,), (-1, 3)], got [(-1, 5), (-1,), (-1, 3)]",
        ),
        (
            set_fact([-1, 1], "signature", "outputs", 0, "shape"),
            "expected the shapes [(-1, 4), (-1,), (-1, 3)], got [(-1, 4), (-1, 1), (-1, 3)]",
        ),
        (
            set_fact([-1, 2], "signature", "outputs", 1, "shape"),
            "expected the shapes [(-1, 4), (-1,), (-1, 3)], got [(-1, 4), (-1,), (-1, 2)]",
        ),
    ],
)
def test_facts_that_disagree_are_not_read(manifest: Manifest, change: Callable[[Facts], None], reason: str) -> None:
    facts = json.loads(manifest.to_json())
    change(facts)
    with pytest.raises(RefusedError) as refusal:
        Manifest.from_json(json.dumps(facts).encode())
    assert str(refusal.value).startswith(f"manifest.json cannot be read: {reason}")


def test_facts_that_disagree_are_not_written_either(manifest: Manifest) -> None:
    with pytest.raises(ValueError, match=r"^expected a parity that passed within 0\.001, got "):
        attrs.evolve(manifest, parity=attrs.evolve(manifest.parity, label_mismatches=1, mismatches=1))
    with pytest.raises(ValueError, match=r"^expected golden rows with the labels "):
        attrs.evolve(manifest, golden=(attrs.evolve(manifest.golden[0], probabilities=()),))


def test_the_largest_tolerance_is_one_that_is_taken(manifest: Manifest) -> None:
    parity = attrs.evolve(manifest.parity, tolerance=MAX_TOLERANCE, max_difference=MAX_TOLERANCE)
    assert Manifest.from_json(attrs.evolve(manifest, parity=parity).to_json()).parity == parity


@pytest.mark.parametrize("count", [0, 3, 5])
def test_a_signature_has_as_many_features_as_its_input_has_columns(manifest: Manifest, count: int) -> None:
    features = tuple(Feature(str(n), "number", nullable=False, quantiles=(0, 0, 0, 1, 1)) for n in range(count))
    whole = manifest.signature
    with pytest.raises(ValueError, match=r"^(expected the shapes|Length of 'features')"):
        Signature(inputs=whole.inputs, outputs=whole.outputs, features=features, labels=whole.labels)
