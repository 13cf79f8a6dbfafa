"""What the pages about the server tell, asked of a real process over a real socket."""

import re

import httpx
import pytest

from tests.support.workshop import IRIS_ROW

PREDICT, ROWS = "/iris/predict", "/iris/predict/rows"


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
def test_a_probe_may_ask_with_head(client: httpx.Client, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-length"] == str(len(get.content))


def test_the_index_and_readiness_tell_what_is_served(client: httpx.Client) -> None:
    assert client.get("/").json()["models"] == {"iris": 1}
    assert client.get("/readyz").json() == {"status": "ready", "models": {"iris": 1}, "refused": []}
    assert client.get("/healthz").json() == {"status": "alive"}


def test_the_document_shows_each_models_fields_labels_and_a_true_example(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"][PREDICT]["post"]
    sent = operation["requestBody"]["content"]["application/json"]
    assert list(sent["schema"]["properties"]) == list(IRIS_ROW)
    assert sent["schema"]["properties"]["SepalLengthCm"]["description"] == "Seen in training: 4.3 to 7.9."
    given_back = operation["responses"]["200"]["content"]["application/json"]
    assert given_back["schema"]["properties"]["output"]["enum"] == ["Iris-setosa", "Iris-versicolor", "Iris-virginica"]
    for path in (PREDICT, ROWS):
        shown = document["paths"][path]["post"]
        example = shown["requestBody"]["content"]["application/json"]["example"]
        assert (
            client.post(path, json=example).json()
            == shown["responses"]["200"]["content"]["application/json"]["example"]
        )


def test_the_document_tells_what_a_run_of_each_model_costs(client: httpx.Client) -> None:
    (tag,) = client.get("/openapi.json").json()["tags"]
    assert tag["name"] == "iris"
    assert re.fullmatch(
        r"A run takes [0-9.]+ us and [0-9.]+ us a row; up to [0-9]+ rows run together, on .* \(measured\)\.",
        tag["description"],
    )


def test_every_documented_get_route_answers(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {path: client.get(path).status_code for path, item in paths.items() if "get" in item} == dict.fromkeys(
        ("/", "/healthz", "/readyz", "/metrics", "/iris/report"), 200
    )


def test_the_docs_page_needs_no_other_host(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http" not in page.text
    for asset in ("/docs/assets/swagger-ui.css", "/docs/assets/swagger-ui-bundle.js", "/docs/page.js"):
        assert asset in page.text
        assert client.get(asset).status_code == 200
