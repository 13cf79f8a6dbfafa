"""Catalog -> OpenAPI document: the typed routes of the models that are loaded, with real examples.

Version 3.0 of the format, since that is what the bundled Swagger UI reads
(https://spec.openapis.org/oas/v3.0.3). The framework could describe its own handlers only, and the prediction routes
are plain ASGI; so the document is made from the signatures. It knows nothing of HTTP.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from server.codec.json_rows import label_text
from server.contract.manifest import Manifest
from server.contract.signature import Feature, Label, Value
from server.models.catalog import Catalog, Model
from server.models.repository import REPORT_FILE

Document = dict[str, Any]

_PROBABILITIES: Document = {
    "name": "probabilities",
    "in": "query",
    "description": "Whether to answer the probability of each class too.",
    "schema": {"type": "boolean", "default": False},
}
_DEADLINE: Document = {
    "name": "Corolla-Deadline-Ms",
    "in": "header",
    "description": "How long the request may take, in milliseconds, where that is less than the server's own limit.",
    "schema": {"type": "integer", "minimum": 1},
}
_SHOWN_WORDS = 20
_SCHEMAS: dict[str, Document] = {
    "number": {"type": "number", "format": "double"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "category": {"type": "string"},
}
_ERRORS = {
    "400": "The body is not JSON, or the query or the deadline means nothing.",
    "404": "No model of this name is loaded.",
    "405": "Another method than POST.",
    "408": "The body took too long to come.",
    "413": "The body is larger than the server reads.",
    "415": "The body is of a type that the route does not take.",
    "422": "The body does not fit the signature; `fields` names each offending feature.",
    "431": "The headers are too large.",
    "500": "The model failed; the server's log has the cause.",
    "503": "There is more to do than can be done in time; `Retry-After` says when to ask again.",
    "504": "The deadline passed before there was an answer.",
}


def make_document(catalog: Catalog, coalescing: Mapping[str, str]) -> Document:
    """Makes the document of everything that this server answers.

    Args:
        catalog: The loaded models.
        coalescing: In words, how the requests of each are coalesced, by the model's name.
    """
    paths: Document = {}
    for model in catalog.models.values():
        paths |= _model_paths(model)
        if REPORT_FILE in model.manifest.files:
            page = _plain("The report of the version that is served.", f"report_{model.manifest.name}", "text/html")
            paths[f"/{model.manifest.name}/report"] = {"get": page}
    paths |= {
        "/": {"get": _plain("What this server is and serves.", "index")},
        "/healthz": {"get": _plain("Liveness: the process answers.", "liveness")},
        "/readyz": {"get": _plain("Readiness: what is served and what was refused.", "readiness")},
        "/metrics": {"get": _plain("Prometheus metrics, as text.", "metrics", "text/plain")},
    }
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Corolla",
            "version": "1",
            "description": f"Compiled models, proven equal to their estimators (onnxruntime {version('onnxruntime')}).",
        },
        "tags": [{"name": name, "description": coalescing[name]} for name in catalog.models],
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR_SCHEMA}},
    }


_ERROR_SCHEMA: Document = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string"},
        "fields": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def _plain(summary: str, name: str, media_type: str = "application/json") -> Document:
    content = {media_type: {"schema": {"type": "object" if media_type == "application/json" else "string"}}}
    return {
        "summary": summary,
        "operationId": name,
        "tags": ["server"],
        "responses": {"200": {"description": "OK", "content": content}},
    }


def _model_paths(model: Model) -> Document:
    manifest = model.manifest
    name, golden = manifest.name, manifest.golden
    row = _row_schema(manifest.signature.features)
    rows = [known.row for known in golden[:3]]
    return {
        f"/{name}/predict": {
            "post": _operation(
                model,
                ("predict", "Predict one row."),
                _json(row, golden[0].row),
                _json(_answer_schema(model, "output"), {"output": golden[0].output, "model_name": manifest.model_name}),
            )
        },
        f"/{name}/predict/rows": {
            "post": _operation(
                model,
                ("predict_rows", "Predict many rows; the answers come in their order."),
                _json({"type": "array", "items": row}, rows)
                | {"text/csv": {"schema": {"type": "string"}, "example": _to_csv(rows)}},
                _json(
                    _answer_schema(model, "outputs"),
                    {"outputs": [known.output for known in golden[:3]], "model_name": manifest.model_name},
                ),
            )
        },
    }


def _operation(model: Model, named: tuple[str, str], takes: Document, gives: Document) -> Document:
    name, summary = named
    manifest = model.manifest
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    errors = {status: {"description": text, "content": refused} for status, text in _ERRORS.items()}
    return {
        "summary": summary,
        "operationId": f"{name}_{manifest.name}",
        "tags": [manifest.name],
        "description": _about(manifest),
        "parameters": [_PROBABILITIES, _DEADLINE],
        "requestBody": {"required": True, "content": takes},
        "responses": {"200": {"description": "The prediction.", "content": gives}} | errors,
    }


def _about(manifest: Manifest) -> str:
    """Tells of a version in Markdown, which Swagger UI shows above the fields."""
    run, parity, signature = manifest.run, manifest.parity, manifest.signature
    metric = {"accuracy": "Accuracy", "r2": "R²"}[run.metric]
    gives = "a number" if signature.is_regressor else ", ".join(f"`{label_text(label)}`" for label in signature.labels)
    accepted = f", but for {parity.mismatches} that were accepted" if parity.mismatches else ""
    lines = (
        f"Version {manifest.version}, `{manifest.model_name}`: learned `{run.target}` from `{run.dataset}`.",
        f"{metric} {run.test_score:.3f} on held-out rows; equal to its estimator on {parity.rows} rows{accepted}.",
        "",
        f"Answers {gives}." + f" [Report](/{manifest.name}/report)." * (REPORT_FILE in manifest.files),
        "",
        "| feature | seen in training |",
        "| --- | --- |",
        *(f"| {_cell(feature.name)} | {_cell(_seen(feature))} |" for feature in signature.features),
    )
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Gives text as a Markdown table can hold it."""
    return " ".join(text.split()).replace("|", "\\|")


def _seen(feature: Feature) -> str:
    if feature.type == "category":
        shown = ", ".join(feature.vocabulary[:_SHOWN_WORDS])
        more = len(feature.vocabulary) - _SHOWN_WORDS
        seen = f"{shown} and {more} more" if more > 0 else shown
    elif feature.type == "boolean":
        seen = "true, false"
    else:
        seen = f"{feature.quantiles[0]:.9g} to {feature.quantiles[-1]:.9g}"
    return seen + ", or nothing" * feature.nullable


def _json(schema: Document, example: object) -> Document:
    return {"application/json": {"schema": schema, "example": example}}


def _to_csv(rows: Sequence[Mapping[str, Value | None]]) -> str:
    """Writes rows as JSON writes each value, and nothing for null."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow("" if value is None else label_text(value) for value in row.values())
    return text.getvalue()


def _row_schema(features: tuple[Feature, ...]) -> Document:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [feature.name for feature in features],
        "properties": {feature.name: _feature_schema(feature) for feature in features},
    }


def _feature_schema(feature: Feature) -> Document:
    """Describes a feature; its range is told, not enforced, since a value beyond it is a valid question."""
    schema = _SCHEMAS[feature.type] | {"description": f"Seen in training: {_seen(feature)}."}
    return schema | {"nullable": True} if feature.nullable else schema


def _answer_schema(model: Model, key: str) -> Document:
    labels = model.manifest.signature.labels
    one: Document = {"type": _label_type(labels[0]), "enum": list(labels)} if labels else {"type": "number"}
    many = key == "outputs"
    properties = {key: {"type": "array", "items": one} if many else one, "model_name": {"type": "string"}}
    if labels:
        by_label = {"type": "object", "properties": {label_text(label): {"type": "number"} for label in labels}}
        properties["probabilities"] = {"type": "array", "items": by_label} if many else by_label
    return {"type": "object", "required": [key, "model_name"], "properties": properties}


def _label_type(label: Label) -> str:
    if isinstance(label, bool):
        return "boolean"
    return "integer" if isinstance(label, int) else "string"
