"""The OpenAPI document describes the signature of each model, and its examples fit its schemas."""

from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from server.api.openapi import Document, make_document
from server.codec.json_rows import Codec
from server.contract.manifest import Manifest
from server.contract.signature import Feature, Label
from server.models.catalog import Catalog, Model
from server.models.repository import REPORT_FILE
from server.models.session import Session
from tests.support.signatures import MANY_ROWS, comparable
from tests.support.typed_model import FEATURES, typed_manifest, typed_model
from tests.support.workshop import Workshop

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
}
WORDS = {"type", "format", "enum", "properties", "required", "additionalProperties", "items", "description", "nullable"}


def fits(value: Any, schema: Document) -> bool:
    """Return True if a value fits a schema, by the keywords of OpenAPI 3.0 that the document uses."""
    assert schema.keys() <= WORDS
    if value is None:
        return bool(schema.get("nullable"))
    if not isinstance(value, TYPES[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return False
    if isinstance(value, list):
        return all(fits(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        known = schema["properties"]
        return set(schema.get("required", ())) <= value.keys() <= known.keys() and all(
            fits(item, known[name]) for name, item in value.items()
        )
    return value in schema.get("enum", [value])


def document_of(manifest: Manifest) -> Document:
    """Return the document of a server with one model."""
    session = Session(typed_model(manifest.signature), manifest.signature)
    model = Model(
        manifest, session, Codec(manifest.signature, manifest.model_name), batch_invariant=True, folder=Path()
    )
    return make_document(Catalog({manifest.name: model}, ()), {manifest.name: "by itself"})


def described(iris: Workshop, labels: tuple[Label, ...], feature: Feature = FEATURES[-1]) -> dict[str, Any]:
    """Return the path that predicts one row; `feature` replaces the last feature of the signature."""
    manifest = typed_manifest(iris.manifest(), labels)
    signature = attrs.evolve(manifest.signature, features=(*FEATURES[:-1], feature))
    operation: dict[str, Any] = document_of(attrs.evolve(manifest, signature=signature))["paths"]["/typed/predict"]
    return operation


LABELS: dict[str, tuple[Label, ...]] = {"boolean": (False, True), "integer": (0, 1), "string": ("no", "yes")}


@pytest.mark.parametrize("kind", [*LABELS, "number"])
@pytest.mark.parametrize("path", ["/typed/predict", "/typed/predict/rows"])
def test_examples_fit_their_schemas(iris_workshop: Workshop, kind: str, path: str) -> None:
    document = document_of(typed_manifest(iris_workshop.manifest(), LABELS.get(kind, ())))
    operation = document["paths"][path]["post"]
    for part in (operation["requestBody"], operation["responses"]["200"]):
        content = part["content"]["application/json"]
        assert fits(content["example"], content["schema"])
    row = operation["requestBody"]["content"]["application/json"]["schema"]
    row = row.get("items", row)
    assert not fits({}, row)
    valid = {"n": 0.5, "i": 1, "b": True, "c": "violet"}
    assert fits(valid, row)
    for name, wrong in (("n", None), ("n", "1"), ("i", 0.5), ("b", 1), ("c", 1), ("x", 1)):
        assert not fits({**valid, name: wrong}, row)


def test_the_csv_example_has_the_same_rows_if_the_route_takes_csv(iris_workshop: Workshop) -> None:
    manifest = typed_manifest(iris_workshop.manifest(), ())
    paths = document_of(manifest)["paths"]
    shown = paths["/typed/predict/rows"]["post"]["requestBody"]["content"]
    assert list(shown) == ["application/json", "text/csv"]
    assert fits(shown["text/csv"]["example"], shown["text/csv"]["schema"])
    codec = Codec(manifest.signature, "")
    by_csv = codec.decode_csv(shown["text/csv"]["example"].encode(), MANY_ROWS)
    by_json = codec.decode_rows(msgspec.json.encode(shown["application/json"]["example"]), MANY_ROWS)
    assert [comparable(row) for row in by_csv] == [comparable(row) for row in by_json]
    assert list(paths["/typed/predict"]["post"]["requestBody"]["content"]) == ["application/json"]


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_described_by_type_and_value(iris_workshop: Workshop, kind: str) -> None:
    operation = described(iris_workshop, LABELS[kind])["post"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert answer["output"] == {"type": kind, "enum": list(LABELS[kind])}
    named = [str(label).lower() for label in LABELS[kind]]
    assert list(answer["probabilities"]["properties"]) == named
    assert f"\nAnswers `{named[0]}`, `{named[1]}`.\n" in operation["description"]


def test_a_regressor_is_described_without_labels(iris_workshop: Workshop) -> None:
    operation = described(iris_workshop, ())["post"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert answer == {"output": {"type": "number"}, "model_name": {"type": "string"}}
    assert "\nAnswers a number.\n" in operation["description"]


def test_the_values_seen_in_training_are_described(iris_workshop: Workshop) -> None:
    operation = described(iris_workshop, ())["post"]
    assert operation["description"].endswith(
        "| n | 0 to 1 |\n| i | 0 to 1, or nothing |\n| b | true, false, or nothing |\n| c | blue, red, or nothing |"
    )
    properties = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {name: one["description"] for name, one in properties.items()} == {
        "n": "Seen in training: 0 to 1.",
        "i": "Seen in training: 0 to 1, or nothing.",
        "b": "Seen in training: true, false, or nothing.",
        "c": "Seen in training: blue, red, or nothing.",
    }
    assert [one.get("nullable", False) for one in properties.values()] == [False, True, True, True]


@pytest.mark.parametrize(("count", "ending"), [(20, "w18, w19"), (21, "w18, w19 and 1 more"), (99, "w19 and 79 more")])
def test_only_the_first_twenty_words_of_a_category_are_listed(iris_workshop: Workshop, count: int, ending: str) -> None:
    words = Feature("c", "category", nullable=False, vocabulary=tuple(f"w{number:02}" for number in range(count)))
    operation = described(iris_workshop, (), words)["post"]
    assert operation["description"].endswith(f"{ending} |")


def test_provenance_score_and_parity_are_described(iris_workshop: Workshop) -> None:
    manifest = typed_manifest(iris_workshop.manifest(), ())
    run = attrs.evolve(manifest.run, metric="r2", test_score=0.98765, dataset="zoo", target="weight")
    parity = attrs.evolve(manifest.parity, rows=9000, mismatches=2, max_difference=0.5, allowed_mismatches=3)
    operation = document_of(attrs.evolve(manifest, run=run, parity=parity))["paths"]["/typed/predict"]["post"]
    assert operation["description"].startswith(
        "Version 1, `typed_1`: learned `weight` from `zoo`.\n"
        "R² 0.988 on held-out rows; equal to its estimator on 9000 rows, but for 2 that were accepted.\n"
    )
    whole = attrs.evolve(manifest, run=attrs.evolve(run, metric="accuracy", test_score=1.0))
    operation = document_of(whole)["paths"]["/typed/predict"]["post"]
    assert (
        f"\nAccuracy 1.000 on held-out rows; equal to its estimator on {manifest.parity.rows} rows.\n"
        in (operation["description"])
    )


def test_a_report_is_linked_if_the_version_has_one(iris_workshop: Workshop) -> None:
    manifest = typed_manifest(iris_workshop.manifest(), ())
    assert "/typed/report" not in document_of(manifest)["paths"]
    document = document_of(attrs.evolve(manifest, files={REPORT_FILE: ""}))
    assert document["paths"]["/typed/report"]["get"]["responses"]["200"]["content"].keys() == {"text/html"}
    assert (
        "\nAnswers a number. [Report](/typed/report).\n" in document["paths"]["/typed/predict"]["post"]["description"]
    )
