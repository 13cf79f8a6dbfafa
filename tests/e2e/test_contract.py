"""What a client is promised, asked of a real process over a real socket."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.server_process import ServerProcess
from tests.support.workshop import IRIS_ROW, Workshop

JSON = {"content-type": "application/json"}


ROW = json.dumps(IRIS_ROW).encode()


PREDICT, ROWS = "/iris/predict", "/iris/predict/rows"
LIMIT_BYTES = 600_000


def test_a_row_is_answered_with_the_label_and_the_models_name(client: httpx.Client) -> None:
    response = client.post(PREDICT, content=ROW, headers=JSON)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.text == '{"output":"Iris-virginica","model_name":"log_reg_1"}'


def test_probabilities_come_where_they_are_asked_for(client: httpx.Client) -> None:
    body = client.post(f"{PREDICT}?probabilities=true", content=ROW, headers=JSON).json()
    assert list(body) == ["output", "model_name", "probabilities"]
    assert list(body["probabilities"]) == ["Iris-setosa", "Iris-versicolor", "Iris-virginica"]
    assert sum(body["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    plain = client.post(f"{PREDICT}?probabilities=false", content=ROW, headers=JSON).json()
    assert "probabilities" not in plain


def test_rows_are_answered_in_their_order(client: httpx.Client, iris_workshop: Workshop) -> None:
    golden = [*iris_workshop.manifest().golden] * 20
    response = client.post(ROWS, json=[known.row for known in golden])
    assert response.status_code == 200
    assert response.json() == {"outputs": [known.output for known in golden], "model_name": "log_reg_1"}


def test_rows_come_with_probabilities_where_they_are_asked_for(client: httpx.Client) -> None:
    alone = client.post(f"{PREDICT}?probabilities=true", content=ROW, headers=JSON).json()
    body = client.post(f"{ROWS}?probabilities=true", json=[IRIS_ROW, IRIS_ROW]).json()
    assert body["outputs"] == [alone["output"]] * 2
    assert [list(row) for row in body["probabilities"]] == [list(alone["probabilities"])] * 2


def test_no_rows_are_answered_with_no_outputs(client: httpx.Client) -> None:
    assert client.post(ROWS, json=[]).json() == {"outputs": [], "model_name": "log_reg_1"}


NUMBER = "expected a number, got "


BEYOND = "expected a number within ±3.4028235e+38, got "


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"SepalWidthCm": None}, {"SepalWidthCm": NUMBER + "null"}),
        ({"SepalWidthCm": "2"}, {"SepalWidthCm": NUMBER + "a string"}),
        ({"SepalWidthCm": True}, {"SepalWidthCm": NUMBER + "a boolean"}),
        ({"SepalWidthCm": [2]}, {"SepalWidthCm": NUMBER + "an array"}),
        (
            {"SepalWidthCm": {}, "PetalWidthCm": ""},
            {"SepalWidthCm": NUMBER + "an object", "PetalWidthCm": NUMBER + '""'},
        ),
        ({"SepalWidthCm": 1e39}, {"SepalWidthCm": BEYOND + "1e+39"}),
        ({"SepalWidthCm": 10**400}, {"SepalWidthCm": BEYOND + "1" + "0" * 63 + "..."}),
        ({"Id": 7}, {"Id": "unknown feature"}),
        ({"x" * 100: 7}, {"x" * 64 + "...": "unknown feature"}),
    ],
)
def test_a_row_that_does_not_fit_is_422_and_names_each_field(
    client: httpx.Client, change: Mapping[str, Any], fields: Mapping[str, str]
) -> None:
    response = client.post(PREDICT, json={**IRIS_ROW, **change})
    assert response.status_code == 422
    assert response.json() == {"error": "the row does not fit the model's signature", "fields": fields}


def test_a_missing_feature_is_422_and_named(client: httpx.Client) -> None:
    response = client.post(PREDICT, json={"SepalLengthCm": 5})
    assert response.status_code == 422
    assert response.json()["fields"] == dict.fromkeys(
        ("SepalWidthCm", "PetalLengthCm", "PetalWidthCm"), "missing: expected a number"
    )


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        (PREDICT, ROW[:-1] + b', "SepalWidthCm": 2}', {"SepalWidthCm": "given more than once"}),
        (PREDICT, b'{"SepalWidthCm": "x",' + ROW[1:], {"SepalWidthCm": "given more than once"}),
        (PREDICT, ROW[:-1] + b', "\\u0053epalWidthCm": 2}', {"SepalWidthCm": "given more than once"}),
        (
            PREDICT,
            ROW[:-1] + b', "SepalWidthCm": 2, "x": 1}',
            {"SepalWidthCm": "given more than once", "x": "unknown feature"},
        ),
        (ROWS, b"[" + ROW + b"," + ROW[:-1] + b', "SepalWidthCm": 2}]', {"1.SepalWidthCm": "given more than once"}),
    ],
)
def test_a_feature_given_twice_is_422_and_named(
    client: httpx.Client, path: str, body: bytes, fields: Mapping[str, str]
) -> None:
    response = client.post(path, content=body, headers=JSON)
    assert (response.status_code, response.json()["fields"]) == (422, fields)


def test_a_feature_whose_name_is_escaped_is_still_known(client: httpx.Client) -> None:
    body = ROW.replace(b"SepalLengthCm", b"\\u0053epalLengthCm").replace(b": ", b" : ")
    assert client.post(PREDICT, content=body, headers=JSON).json()["output"] == "Iris-virginica"


def test_rows_that_do_not_fit_are_422_and_named_by_index(client: httpx.Client) -> None:
    response = client.post(ROWS, json=[IRIS_ROW, 3, {**IRIS_ROW, "PetalWidthCm": None}])
    assert response.status_code == 422
    assert response.json()["fields"] == {"1": "expected an object, got 3", "2.PetalWidthCm": NUMBER + "null"}


def test_of_many_faults_the_first_twenty_are_named(client: httpx.Client) -> None:
    body = client.post(ROWS, json=[{}] * 1000).json()
    assert body["error"].endswith("the first 20 faults are named")
    assert len(body["fields"]) == 20


def test_a_row_for_which_the_model_overflows_is_422(client: httpx.Client) -> None:
    extreme = dict.fromkeys(IRIS_ROW, 3e38) | {"SepalWidthCm": -3e38, "PetalWidthCm": -3e38}
    response = client.post(PREDICT, json=extreme)
    assert response.status_code == 422
    assert response.json() == {"error": "the model has no finite answer for these values: they are too extreme for it"}
    assert client.post(PREDICT, content=ROW, headers=JSON).status_code == 200


DEEP = b"[" * 250_000


NOT_JSON = {
    "nothing": b"",
    "truncated": ROW[:-1],
    "followed by more": ROW + b"x",
    "NaN": ROW.replace(b"5", b"NaN"),
    "invalid UTF-8 in a name": ROW.replace(b"Sepal", b"\xff"),
    "invalid UTF-8 in a value": ROW.replace(b"5", b'"\xff"'),
    "UTF-16": ROW.decode().encode("utf-16"),
    "nested 250,000 deep": DEEP,
    "nested 250,000 deep in a feature": b'{"SepalLengthCm": ' + DEEP,
    "nested 250,000 deep and closed": b'{"x": ' + DEEP + b"]" * 250_000 + b"}",
}


@pytest.mark.parametrize("path", [PREDICT, ROWS])
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_a_body_that_is_not_json_is_400(client: httpx.Client, path: str, body: bytes) -> None:
    response = client.post(path, content=body, headers=JSON)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        (PREDICT, b"[1]", "expected a JSON object with a value for each feature, got an array"),
        (PREDICT, b" 12 ", "expected a JSON object with a value for each feature, got 12"),
        (ROWS, b"null", "expected a JSON array of rows, got null"),
        (ROWS, ROW, "expected a JSON array of rows, got an object"),
    ],
)
def test_json_of_another_kind_is_422(client: httpx.Client, path: str, body: bytes, error: str) -> None:
    response = client.post(path, content=body, headers=JSON)
    assert (response.status_code, response.json()) == (422, {"error": error})


@pytest.mark.parametrize("path", [PREDICT, ROWS])
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {**JSON, "content-encoding": "gzip"},
    ],
    ids=str,
)
def test_a_body_that_is_not_declared_as_plain_json_is_415(
    client: httpx.Client, path: str, headers: Mapping[str, str]
) -> None:
    response = client.post(path, content=ROW, headers=dict(headers))
    assert response.status_code == 415
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize("headers", [{}, {"content-type": 'Application/JSON ;  charset="UTF-8"'}], ids=str)
def test_a_body_declared_as_nothing_or_as_utf8_json_is_read(client: httpx.Client, headers: Mapping[str, str]) -> None:
    assert client.post(PREDICT, content=ROW, headers=dict(headers)).status_code == 200


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_413(client: httpx.Client) -> None:
    assert client.post(PREDICT, content=ROW.ljust(LIMIT_BYTES), headers=JSON).status_code == 200
    response = client.post(PREDICT, content=ROW.ljust(LIMIT_BYTES + 1), headers=JSON)
    assert response.status_code == 413
    assert response.json() == {"error": "expected a body of at most 600000 bytes, got 600001 or more"}


def test_a_chunked_body_is_held_to_the_same_limit(client: httpx.Client) -> None:
    def chunks(size_bytes: int) -> Any:
        body = ROW.ljust(size_bytes)
        return (body[start : start + 5_000] for start in range(0, size_bytes, 5_000))

    assert client.post(PREDICT, content=chunks(LIMIT_BYTES), headers=JSON).status_code == 200
    assert client.post(PREDICT, content=chunks(LIMIT_BYTES + 1), headers=JSON).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/nope/predict",
        "/iris",
        "/iris/predict/rows/1",
        "/docs/assets/x",
        "/docs/assets/..%2f..%2f__init__.py",
        "/docs/assets/%00",
        "/%00",
    ],
)
def test_an_unknown_model_or_route_is_404(client: httpx.Client, path: str) -> None:
    response = client.post(path, content=ROW, headers=JSON)
    assert response.status_code == 404
    assert response.json() == {"error": "no such model or route; GET / lists the models, /docs all routes"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", PREDICT, "POST"), ("PUT", ROWS, "POST"), ("POST", "/healthz", "GET, HEAD, OPTIONS")],
)
def test_a_wrong_method_is_405_and_says_which_is_right(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    assert response.json() == {"error": f"this route takes {allowed} only"}


@pytest.mark.parametrize("query", ["probabilities=yes", "probabilities", "x=1", "probabilities=true&x=1"])
def test_an_unknown_query_is_400(client: httpx.Client, query: str) -> None:
    response = client.post(f"{PREDICT}?{query}", content=ROW, headers=JSON)
    assert response.status_code == 400
    assert "probabilities=true" in response.json()["error"]


@given(
    body=st.binary(max_size=60)
    | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_are_answered_with_500(client: httpx.Client, body: bytes) -> None:
    for path in (PREDICT, ROWS):
        response = client.post(path, content=body, headers=JSON)
        assert response.status_code in {200, 400, 422}
        assert set(response.json()) <= {"error", "fields", "outputs", "model_name"}


def test_a_connection_is_kept_for_the_next_request(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url, limits=httpx.Limits(max_connections=1)) as one:
        answers = [one.post(PREDICT, content=ROW, headers=JSON) for _ in range(3)]
        ports = {answer.extensions["network_stream"].get_extra_info("client_addr") for answer in answers}
    assert len(ports) == 1
