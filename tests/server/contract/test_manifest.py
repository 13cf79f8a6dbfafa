"""A manifest with inconsistent facts is refused, with an error that names the fact."""

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from server.contract.manifest import FORMAT, GoldenRow, Manifest, Parity
from server.contract.signature import Label
from server.errors import RefusedError
from tests.support.typed_model import typed_manifest
from tests.support.workshop import Workshop

Facts = dict[str, Any]
SOUND = Parity(rows=10, max_batch_rows=4, label_mismatches=0, mismatches=0, max_difference=1e-6, tolerance=1e-5)


@pytest.fixture(scope="module")
def classifier(iris_workshop: Workshop) -> Manifest:
    return typed_manifest(iris_workshop.manifest(), (False, True))


@pytest.fixture(scope="module")
def regressor(iris_workshop: Workshop) -> Manifest:
    return typed_manifest(iris_workshop.manifest(), ())


@pytest.mark.parametrize("labels", [(), (False, True), (0, 1), ("no", "yes")])
def test_a_typed_manifest_is_read_back_as_it_was_written(iris_workshop: Workshop, labels: tuple[Label, ...]) -> None:
    written = typed_manifest(iris_workshop.manifest(), labels)
    read = Manifest.from_json(written.to_json())
    assert read == written
    assert [type(known.output) for known in read.golden] == [type(known.output) for known in written.golden]
    assert [[*map(type, known.row.values())] for known in read.golden] == [
        [float, int, bool, str],
        [float, type(None), type(None), type(None)],
    ]


def put(value: object, *path: str | int) -> Callable[[Facts], None]:
    def change(facts: Any) -> None:
        for step in path[:-1]:
            facts = facts[step]
        facts[path[-1]] = value

    return change


def refusal(manifest: Manifest, *changes: Callable[[Facts], None]) -> str:
    facts = json.loads(manifest.to_json())
    for change in changes:
        change(facts)
    with pytest.raises(RefusedError) as refused:
        Manifest.from_json(json.dumps(facts).encode())
    return str(refused.value)


def test_the_previous_format_is_refused(classifier: Manifest) -> None:
    assert refusal(classifier, put(1, "format")) == "manifest.json cannot be read: expected format 2, got 1"
    assert FORMAT == 2


@pytest.mark.parametrize("number", [0, 3, -1])
def test_any_other_format_is_refused(classifier: Manifest, number: int) -> None:
    assert refusal(classifier, put(number, "format")).endswith(f"expected format 2, got {number}")


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("golden", 0, "output"), "true", "expected golden rows with the labels (False, True), got GoldenRow("),
        (("golden", 0, "output"), 2, "expected golden rows with the labels (False, True), got GoldenRow("),
        (("golden", 0, "probabilities"), [1.0], "expected golden rows with the labels (False, True), got GoldenRow("),
        (("golden", 0, "probabilities"), [], "expected golden rows with the labels (False, True), got GoldenRow("),
        (("golden", 0, "row", "n"), [1], "Expected `bool | int | float | str | null`, got `array`"),
        (("golden", 0, "scale"), 0, "'scale' must be > 0: 0"),
        (("golden", 0, "scale"), -1, "'scale' must be > 0: -1"),
        (("golden",), [], "Length of 'golden' must be >= 1: 0"),
        (("signature", "labels"), [False], "expected two labels or more, or none, got (False,)"),
        (("signature", "labels"), [False, None], "Expected "),
        (("signature", "features", 0, "type"), "text", "Invalid enum value 'text'"),
        (("signature", "features", 3, "vocabulary"), [""], "expected a vocabulary, without an empty text, of 'c'"),
        (("signature", "features", 0, "quantiles"), [1, 2], "expected 5 rising quantiles of 'n', got "),
        (("signature", "inputs", 0, "datatype"), "INT64", "expected inputs of "),
        (("signature", "inputs", 0, "name"), "features", "expected inputs of "),
        (("run", "metric"), "f1", "Invalid enum value 'f1'"),
        (("run", "test_score"), None, "Expected `float`, got `null`"),
        (("parity", "tolerance"), 0.0011, "expected a parity that passed within 0.001, got Parity("),
        (("parity", "mismatches"), 1, "expected figures that agree with each other, got Parity("),
        (("parity", "label_mismatches"), 1, "expected figures that agree with each other, got Parity("),
        (("parity", "max_difference"), 1.0, "expected figures that agree with each other, got Parity("),
        (("version",), 0, "'version' must be >= 1: 0"),
    ],
)
def test_each_inconsistent_fact_is_refused(
    classifier: Manifest, path: tuple[str | int, ...], value: object, reason: str
) -> None:
    assert refusal(classifier, put(value, *path)).startswith(f"manifest.json cannot be read: {reason}")


@pytest.mark.parametrize("output", ["7", "high", True, None])
def test_a_regressors_golden_rows_have_numbers(regressor: Manifest, output: object) -> None:
    reason = "Expected" if output is None else "expected golden rows with numbers, got GoldenRow("
    assert refusal(regressor, put(output, "golden", 0, "output")).startswith(f"manifest.json cannot be read: {reason}")


def test_a_regressors_golden_rows_have_no_probabilities(regressor: Manifest) -> None:
    assert "expected golden rows with numbers, got " in refusal(regressor, put([1.0], "golden", 0, "probabilities"))


@pytest.mark.parametrize(
    ("figures", "passed"),
    [
        ({}, True),
        ({"max_difference": 1e-5}, True),
        ({"label_mismatches": 1, "mismatches": 1}, False),
        ({"mismatches": 1, "max_difference": 1.0}, False),
        ({"label_mismatches": 1, "mismatches": 1, "allowed_mismatches": 1}, True),
        ({"label_mismatches": 1, "mismatches": 2, "max_difference": 0.5, "allowed_mismatches": 2}, True),
        ({"label_mismatches": 1, "mismatches": 2, "max_difference": 0.5, "allowed_mismatches": 1}, False),
        ({"allowed_mismatches": 5}, True),
    ],
)
def test_a_parity_passes_with_at_most_the_allowed_mismatches(figures: dict[str, Any], *, passed: bool) -> None:
    assert attrs.evolve(SOUND, **figures).passed is passed


@pytest.mark.parametrize(
    "figures",
    [
        {"label_mismatches": 1},
        {"mismatches": 1},
        {"label_mismatches": 2, "mismatches": 1, "max_difference": 1.0},
        {"max_difference": 1.0},
        {"max_difference": 1.0, "allowed_mismatches": 5},
        {"label_mismatches": 1, "mismatches": 2, "allowed_mismatches": 5},
    ],
)
def test_inconsistent_figures_of_a_parity_are_refused(figures: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^expected figures that agree with each other, got Parity\("):
        attrs.evolve(SOUND, **figures)


def test_a_golden_row_as_a_request_is_json_by_feature_name() -> None:
    known = GoldenRow({"n": 0.5, "i": 3, "b": True, 'c "x"': "a\0", "m": None}, "a", (1.0, 0.0))
    assert json.loads(known.to_request()) == known.row
