"""Tables of every type, asked of a real process by JSON and by CSV; with the lane and without."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.server_process import ServerProcess
from tests.support.typed_model import FEATURES, GOLDEN, typed_signature, weigh
from tests.support.versions import Fields

JSON, CSV = {"content-type": "application/json"}, {"content-type": "text/csv"}
MODELS = {"booleans": (False, True), "wholes": (0, 1), "words": ("no", "yes"), "numbers": ()}
KEYS = {"booleans": ["false", "true"], "wholes": ["0", "1"], "words": ["no", "yes"]}
HIGH, LOW = GOLDEN
ROWS: Sequence[Fields] = (
    HIGH,
    LOW,
    {"n": -0.25, "i": -7, "b": False, "c": "violet"},
    {"n": 1e6, "i": 2**20, "b": None, "c": 'a, "b"\r\n: \\'},
    {"n": -1e6, "i": None, "b": True, "c": "blue"},
)
LIMIT_BYTES = 100_000


def number_of(row: Fields) -> float:
    """Gives what the regressor says of a row."""
    pairs = [(one, row[one.name]) for one in FEATURES]
    return weigh(tuple(one.missing if value is None else value for one, value in pairs), typed_signature(()))


def answer_of(model: str, row: Fields) -> Any:
    return MODELS[model][number_of(row) > 0] if MODELS[model] else number_of(row)


def to_csv(rows: Sequence[Fields]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["c", "i", "n", "b"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("model", MODELS)
def test_a_row_of_every_type_is_answered_with_the_models_own_kind_of_label(
    typed_client: httpx.Client, model: str
) -> None:
    for row in ROWS:
        response = typed_client.post(f"/{model}/predict", json=row)
        assert response.status_code == 200
        assert (
            response.content
            == json.dumps({"output": answer_of(model, row), "model_name": f"{model}_1"}, separators=(",", ":")).encode()
        )


def test_the_rows_have_answers_of_both_labels() -> None:
    assert {number_of(row) > 0 for row in ROWS} == {False, True}


@pytest.mark.parametrize("model", KEYS)
def test_probabilities_are_told_by_the_label_as_json_writes_it(typed_client: httpx.Client, model: str) -> None:
    low, high = (typed_client.post(f"/{model}/predict?probabilities=true", json=row).json() for row in (LOW, HIGH))
    assert low["probabilities"] == dict(zip(KEYS[model], (1.0, 0.0), strict=True))
    assert high["probabilities"] == pytest.approx(dict(zip(KEYS[model], (0.0, 1.0), strict=True)), abs=1e-6)
    many = typed_client.post(f"/{model}/predict/rows?probabilities=true", json=[LOW, HIGH]).json()
    assert many["probabilities"] == [low["probabilities"], high["probabilities"]]


@pytest.mark.parametrize("query", ["", "?probabilities=false", "?probabilities=true"])
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_regressor_answers_with_a_number_and_never_with_probabilities(
    typed_client: httpx.Client, query: str, connection: str
) -> None:
    for _ in range(2):
        response = typed_client.post(f"/numbers/predict{query}", json=HIGH, headers={"connection": connection})
        assert response.json() == {"output": number_of(HIGH), "model_name": "numbers_1"}
        assert response.headers.get("connection", "keep-alive") == connection
    many = typed_client.post(f"/numbers/predict/rows{query}", json=ROWS, headers={"connection": connection})
    assert many.json() == {"outputs": [number_of(row) for row in ROWS], "model_name": "numbers_1"}


def test_numbers_that_a_float64_alone_can_hold_reach_a_model_that_takes_them(typed_client: httpx.Client) -> None:
    zero = {"n": 0.1, "i": 0, "b": False, "c": "other"}
    assert typed_client.post("/numbers/predict", json=zero).json()["output"] == 0.1


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("query", ["", "?probabilities=true"])
def test_rows_are_answered_alike_by_json_and_by_csv(typed_client: httpx.Client, model: str, query: str) -> None:
    path = f"/{model}/predict/rows{query}"
    by_json = typed_client.post(path, json=ROWS)
    assert by_json.json()["outputs"] == [answer_of(model, row) for row in ROWS]
    for headers in (CSV, {"content-type": 'Text/CSV; header=present; charset="UTF-8"'}):
        by_csv = typed_client.post(path, content=to_csv(ROWS), headers=headers)
        assert (by_csv.status_code, by_csv.content) == (200, by_json.content)
        assert by_csv.headers["content-type"] == "application/json"


def test_a_header_alone_is_answered_with_no_outputs(typed_client: httpx.Client) -> None:
    response = typed_client.post("/words/predict/rows", content=to_csv([]), headers=CSV)
    assert response.json() == {"outputs": [], "model_name": "words_1"}


@pytest.mark.parametrize(
    ("path", "media_type", "expected"),
    [
        ("/words/predict", "text/csv", "application/json"),
        ("/words/predict?probabilities=true", "text/csv", "application/json"),
        ("/words/predict/rows", "text/csv; charset=latin-1", "application/json or text/csv"),
        ("/words/predict/rows", "text/csv; header=absent", "application/json or text/csv"),
        ("/words/predict/rows", "text/tab-separated-values", "application/json or text/csv"),
    ],
)
def test_a_body_of_a_type_that_the_route_does_not_take_is_415(
    typed_client: httpx.Client, path: str, media_type: str, expected: str
) -> None:
    response = typed_client.post(path, content=to_csv([HIGH]), headers={"content-type": media_type})
    assert response.status_code == 415
    assert response.json() == {"error": f"expected the content type {expected}, got {media_type!r}"}


def test_csv_without_its_content_type_is_not_json(typed_client: httpx.Client) -> None:
    assert typed_client.post("/words/predict/rows", content=to_csv([HIGH])).status_code == 400


TEXT = "expected text of 1 to 1000 characters or null, got "


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"n": None}, {"n": "expected a number, got null"}),
        ({"i": 3.0}, {"i": "expected a whole number within ±9007199254740992 or null, got 3.0"}),
        ({"b": 1}, {"b": "expected true or false or null, got 1"}),
        ({"c": ""}, {"c": TEXT + '""'}),
        ({"c": "x" * 1001}, {"c": TEXT + "a string"}),
        (
            {"i": "3", "b": "true", "c": 7, "x": 1},
            {
                "x": "unknown feature",
                "i": "expected a whole number or null, got a string",
                "b": "expected true or false or null, got a string",
                "c": "expected text or null, got 7",
            },
        ),
    ],
)
@pytest.mark.parametrize("model", ["booleans", "numbers"])
def test_each_value_of_another_type_is_named(
    typed_client: httpx.Client, model: str, change: Mapping[str, Any], fields: Mapping[str, str]
) -> None:
    one = typed_client.post(f"/{model}/predict", json={**HIGH, **change})
    assert (one.status_code, one.json()["fields"]) == (422, fields)
    many = typed_client.post(f"/{model}/predict/rows", json=[HIGH, {**HIGH, **change}])
    assert (many.status_code, many.json()["fields"]) == (422, {f"1.{name}": fault for name, fault in fields.items()})


@pytest.mark.parametrize(
    ("body", "status", "error", "fields"),
    [
        (b"", 400, "expected CSV with a header, got nothing", None),
        (b"n,i,b,c\n1,2,true\n", 400, "row 0 has 3 cells, the header has 4", None),
        (b"n,i,b,c\n1,2,true,\xff\n", 400, "the body is not UTF-8: invalid start byte at byte 17", None),
        (b'n,i,b,c\n1,2,true,"a', 400, "the body is not CSV: unexpected end of data", None),
        (
            b"n,i,b,d\n",
            422,
            "the header does not fit the model's signature",
            {"c": "missing: expected text or null", "d": "unknown feature"},
        ),
        (
            b"n,i,b,c\n1,2,true,red\n,2.5,,\n",
            422,
            "rows do not fit the model's signature",
            {
                "1.n": "expected a number within ±3.4028235e+38, got an empty cell",
                "1.i": "expected a whole number within ±9007199254740992 or null, got '2.5'",
            },
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_words(
    typed_client: httpx.Client, body: bytes, status: int, error: str, fields: Mapping[str, str] | None
) -> None:
    response = typed_client.post("/words/predict/rows", content=body, headers=CSV)
    assert response.status_code == status
    assert response.json() == {"error": error} | ({"fields": fields} if fields else {})


def test_a_table_at_the_limit_is_read_and_one_byte_more_is_413(typed_client: httpx.Client) -> None:
    body = b"n,i,b,c\n" + b"1,2,true,red\n" * 1000
    whole = body.ljust(LIMIT_BYTES, b"\n")
    response = typed_client.post("/words/predict/rows", content=whole, headers=CSV)
    assert (response.status_code, len(response.json()["outputs"])) == (200, 1000)
    response = typed_client.post("/words/predict/rows", content=whole + b"\n", headers=CSV)
    assert response.status_code == 413
    chunks = (whole[start : start + 5_000] for start in range(0, LIMIT_BYTES, 5_000))
    assert typed_client.post("/words/predict/rows", content=chunks, headers=CSV).status_code == 200


def test_categories_that_training_did_not_see_are_counted(
    typed_client: httpx.Client, typed_server: ServerProcess
) -> None:
    def ask(path: str, **sent: Any) -> None:
        typed_client.post(path, **sent)

    before = typed_server.metric("corolla_unseen_categories_total")
    strange = {**HIGH, "c": "violet"}
    ask("/wholes/predict", json=HIGH)
    ask("/wholes/predict", json=LOW)
    ask("/wholes/predict", json={**strange, "i": 0.5})
    ask("/wholes/predict/rows", json=[strange, {**strange, "n": None}])
    assert typed_server.metric("corolla_unseen_categories_total") == before
    ask("/wholes/predict", json=strange)
    ask("/wholes/predict?probabilities=true", json=strange)
    ask("/wholes/predict/rows", json=[strange, HIGH, strange])
    ask("/wholes/predict/rows", content=to_csv([strange, LOW]), headers=CSV)
    told = typed_client.get("/metrics").text
    assert typed_server.metric("corolla_unseen_categories_total") == before + 5
    assert re.search(r'^corolla_unseen_categories_total\{feature="c",model="wholes"\} \d+\.0$', told, re.MULTILINE)


@given(
    body=st.binary(max_size=40)
    | st.text("\"',\n\r :{}[]nibc\\0123.eE-truefalsd", max_size=60).map(str.encode)
    | st.builds(lambda row: b"n,i,b,c\n" + row.encode(), st.text(max_size=20))
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_are_answered_with_500(typed_client: httpx.Client, body: bytes) -> None:
    for path, headers in (("/numbers/predict", JSON), ("/booleans/predict/rows", JSON), ("/numbers/predict/rows", CSV)):
        response = typed_client.post(path, content=body, headers=headers)
        assert response.status_code in {200, 400, 422}
        assert set(response.json()) <= {"error", "fields", "output", "outputs", "model_name"}


@pytest.mark.parametrize("model", MODELS)
def test_the_document_describes_each_type_and_its_examples_are_true(typed_client: httpx.Client, model: str) -> None:
    document = typed_client.get("/openapi.json").json()
    for path in (f"/{model}/predict", f"/{model}/predict/rows"):
        shown = document["paths"][path]["post"]
        sent = shown["requestBody"]["content"]["application/json"]
        given_back = shown["responses"]["200"]["content"]["application/json"]
        answered = typed_client.post(path, json=sent["example"]).json()
        assert answered == given_back["example"]
        assert "probabilities" in typed_client.post(f"{path}?probabilities=true", json=sent["example"]).json() or (
            model == "numbers"
        )
    assert "Seen in training: blue, red, or nothing." in json.dumps(sent["schema"])
