"""Catalog -> OpenAPI document: the typed routes of the models that are loaded, with real examples.

Version 3.0 of the format, since that is what the bundled Swagger UI reads
(https://spec.openapis.org/oas/v3.0.3). The framework could describe its own handlers only, and the prediction routes
are plain ASGI; so the document is made from the signatures. It knows nothing of HTTP.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from server.catalog import Catalog, Model
from server.manifest import Manifest
from server.signature import Feature, Label

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
_ERRORS = {
    "400": "The body is not JSON, or the query or the deadline means nothing.",
    "404": "No model of this name is loaded.",
    "405": "Another method than POST.",
    "408": "The body took too long to come.",
    "413": "The body is larger than the server reads.",
    "415": "The body is not application/json.",
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
    return {
        f"/{name}/predict": {
            "post": _operation(
                model,
                ("predict", "Predict one row."),
                (row, golden[0].row),
                (_answer_schema(model, "output"), {"output": golden[0].output, "model_name": manifest.model_name}),
            )
        },
        f"/{name}/predict/rows": {
            "post": _operation(
                model,
                ("predict_rows", "Predict many rows; the answers come in their order."),
                ({"type": "array", "items": row}, [known.row for known in golden[:3]]),
                (
                    _answer_schema(model, "outputs"),
                    {"outputs": [known.output for known in golden[:3]], "model_name": manifest.model_name},
                ),
            )
        },
    }


def _operation(
    model: Model, named: tuple[str, str], takes: tuple[Document, object], gives: tuple[Document, object]
) -> Document:
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
        "requestBody": {"required": True, "content": _json(*takes)},
        "responses": {"200": {"description": "The prediction.", "content": _json(*gives)}} | errors,
    }


def _about(manifest: Manifest) -> str:
    """Tells of a version in Markdown, which Swagger UI shows above the fields."""
    run, parity, signature = manifest.run, manifest.parity, manifest.signature
    ranges = [f"| {feature.name} | {feature.minimum:.9g} to {feature.maximum:.9g} |" for feature in signature.features]
    lines = (
        f"Version {manifest.version}, `{manifest.model_name}`: learned `{run.target}` from `{run.dataset}`.",
        f"Accuracy {run.test_accuracy:.3f} on held-out rows; equal to its estimator on {parity.rows} rows.",
        "",
        f"Answers {', '.join(f'`{label}`' for label in signature.labels)}.",
        "",
        "| feature | seen in training |",
        "| --- | --- |",
        *ranges,
    )
    return "\n".join(lines)


def _json(schema: Document, example: object) -> Document:
    return {"application/json": {"schema": schema, "example": example}}


def _row_schema(features: tuple[Feature, ...]) -> Document:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [feature.name for feature in features],
        "properties": {feature.name: _feature_schema(feature) for feature in features},
    }


def _feature_schema(feature: Feature) -> Document:
    """Describes a feature; its range is told, not enforced, since a value beyond it is a valid question."""
    seen = f"Seen in training: {feature.minimum:.9g} to {feature.maximum:.9g}."
    return {"type": feature.type, "format": "float", "description": seen}


def _answer_schema(model: Model, key: str) -> Document:
    labels = model.manifest.signature.labels
    one: Document = {"type": _label_type(labels[0]), "enum": list(labels)}
    by_label: Document = {"type": "object", "properties": {str(label): {"type": "number"} for label in labels}}
    many = key == "outputs"
    return {
        "type": "object",
        "required": [key, "model_name"],
        "properties": {
            key: {"type": "array", "items": one} if many else one,
            "model_name": {"type": "string"},
            "probabilities": {"type": "array", "items": by_label} if many else by_label,
        },
    }


def _label_type(label: Label) -> str:
    return "integer" if isinstance(label, int) else "string"
