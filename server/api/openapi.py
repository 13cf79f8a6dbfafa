"""Makes the OpenAPI document: the typed routes of the loaded models, with golden rows as examples.

The bundled Swagger UI reads version 3.0 of the format (https://spec.openapis.org/oas/v3.0.3). Litestar could describe
its own handlers only. The prediction routes are not among them, so the document is made from the signatures.
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
    "description": "True to return the probability of each class too.",
    "schema": {"type": "boolean", "default": False},
}
_DEADLINE: Document = {
    "name": "Corolla-Deadline-Ms",
    "in": "header",
    "description": "The longest time the request may take, in milliseconds; it can only shorten the server's limit.",
    "schema": {"type": "integer", "minimum": 1},
}
_SHOWN_WORDS = 20
"""Number of values of a category that its description lists."""
_SCHEMAS: dict[str, Document] = {
    "number": {"type": "number", "format": "double"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "category": {"type": "string"},
}
_ERRORS = {
    "400": "The body is not JSON, or the query or the deadline is invalid.",
    "404": "No model of this name is loaded.",
    "405": "The method is not POST.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large, or has too many rows.",
    "415": "The route does not take this content type.",
    "422": "The body does not fit the signature; `fields` names each offending feature.",
    "431": "The headers are too large.",
    "500": "The model failed; the server's log has the cause.",
    "503": "Overload (the queue is full or the deadline cannot be met) or shutdown; `Retry-After` says when to retry.",
    "504": "The deadline passed before there was an answer.",
}


def make_document(catalog: Catalog, coalescing: Mapping[str, str]) -> Document:
    """Make the document of all routes of this server.

    Args:
        catalog: The loaded models.
        coalescing: A description of how the requests of each model are coalesced, by the model's name.
    """
    paths: Document = {}
    for model in catalog.models.values():
        paths |= _model_paths(model)
        if REPORT_FILE in model.manifest.files:
            page = _plain("The report of the served version.", f"report_{model.manifest.name}", "text/html")
            paths[f"/{model.manifest.name}/report"] = {"get": page}
    paths |= {
        "/": {"get": _plain("The served models and their versions.", "index")},
        "/healthz": {"get": _plain("Liveness: the process answers.", "liveness")},
        "/readyz": {"get": _plain("Readiness: the served and the refused versions.", "readiness")},
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


def _operation(model: Model, named: tuple[str, str], request: Document, response: Document) -> Document:
    name, summary = named
    manifest = model.manifest
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    errors = {status: {"description": text, "content": error} for status, text in _ERRORS.items()}
    return {
        "summary": summary,
        "operationId": f"{name}_{manifest.name}",
        "tags": [manifest.name],
        "description": _describe_version(manifest),
        "parameters": [_PROBABILITIES, _DEADLINE],
        "requestBody": {"required": True, "content": request},
        "responses": {"200": {"description": "The prediction.", "content": response}} | errors,
    }


def _describe_version(manifest: Manifest) -> str:
    """Describe a version in Markdown, as Swagger UI shows it above the fields."""
    run, parity, signature = manifest.run, manifest.parity, manifest.signature
    metric = {"accuracy": "Accuracy", "r2": "R²"}[run.metric]
    output = "a number" if signature.is_regressor else ", ".join(f"`{label_text(label)}`" for label in signature.labels)
    accepted = f", but for {parity.mismatches} that were accepted" if parity.mismatches else ""
    lines = (
        f"Version {manifest.version}, `{manifest.model_name}`: learned `{run.target}` from `{run.dataset}`.",
        f"{metric} {run.test_score:.3f} on held-out rows; equal to its estimator on {parity.rows} rows{accepted}.",
        "",
        f"Answers {output}." + f" [Report](/{manifest.name}/report)." * (REPORT_FILE in manifest.files),
        "",
        "| feature | seen in training |",
        "| --- | --- |",
        *(f"| {_cell(feature.name)} | {_cell(_describe_values(feature))} |" for feature in signature.features),
    )
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Escape text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _describe_values(feature: Feature) -> str:
    if feature.type == "category":
        shown = ", ".join(feature.vocabulary[:_SHOWN_WORDS])
        more = len(feature.vocabulary) - _SHOWN_WORDS
        values = f"{shown} and {more} more" if more > 0 else shown
    elif feature.type == "boolean":
        values = "true, false"
    else:
        values = f"{feature.quantiles[0]:.9g} to {feature.quantiles[-1]:.9g}"
    return values + ", or nothing" * feature.nullable


def _json(schema: Document, example: object) -> Document:
    return {"application/json": {"schema": schema, "example": example}}


def _to_csv(rows: Sequence[Mapping[str, Value | None]]) -> str:
    """Write rows as CSV: each value as in JSON, and null as an empty cell."""
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
    """Make the schema of a feature. Its range is only described, since the server accepts values beyond it."""
    schema = _SCHEMAS[feature.type] | {"description": f"Seen in training: {_describe_values(feature)}."}
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
