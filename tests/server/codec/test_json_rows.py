"""A codec can be made for the columns of any table; it reads rows as they were sent, or names their faults."""

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.codec.json_rows import Codec
from server.contract.signature import Answer, Feature
from server.errors import BodyTooLargeError, InvalidRowError, MalformedBodyError
from tests.support.signatures import (
    MANY_ROWS,
    TEXT,
    as_read,
    codec_of,
    comparable,
    feature,
    features_of_any_type,
    fields_for,
)

NUMBER_BOUNDS, INTEGER_BOUNDS = " within ±3.4028235e+38", " within ±9007199254740992"
TEXT_BOUNDS = " of 1 to 1000 characters"


def numbers(*names: str) -> Codec:
    return codec_of([feature(name, "number") for name in names])


def faults(codec: Codec, body: str | bytes) -> dict[str, str]:
    """Return the faults of a row, after a check that the same row in an array has the same faults."""
    row = body.encode() if isinstance(body, str) else body
    with pytest.raises(InvalidRowError) as alone:
        codec.decode_row(row)
    with pytest.raises(InvalidRowError) as among:
        codec.decode_rows(b"[" + row + b"]", MANY_ROWS)
    assert among.value.fields == {f"0.{name}": fault for name, fault in alone.value.fields.items()}
    return alone.value.fields


@given(features=features_of_any_type(), data=st.data(), ascii_only=st.booleans())
def test_a_row_of_any_names_and_types_is_read_in_the_order_of_the_signature(
    features: list[Feature], data: st.DataObject, *, ascii_only: bool
) -> None:
    fields = data.draw(fields_for(features))
    sent = {name: fields[name] for name in data.draw(st.permutations(list(fields)))}
    codec = codec_of(features)
    alone = codec.decode_row(json.dumps(sent, ensure_ascii=ascii_only).encode())
    expected = as_read(fields, features)
    assert comparable(alone) == expected
    assert [type(value) for value in comparable(alone)] == [type(value) for value in expected]
    among = codec.decode_rows(json.dumps([sent, sent], ensure_ascii=ascii_only).encode(), MANY_ROWS)
    assert [comparable(row) for row in among] == [expected, expected]


@given(features=features_of_any_type(), data=st.data())
def test_each_missing_and_unknown_feature_is_named(features: list[Feature], data: st.DataObject) -> None:
    fields = data.draw(fields_for(features))
    others = data.draw(st.dictionaries(TEXT, st.integers(), max_size=3).filter(lambda drawn: not drawn.keys() & fields))
    kept = data.draw(st.sets(st.sampled_from(sorted(fields))))
    sent = {name: value for name, value in (fields | others).items() if name in others or name in kept}
    if sent == fields:
        return
    named = faults(codec_of(features), json.dumps(sent))
    assert {name for name, fault in named.items() if fault.startswith("missing: expected ")} == fields.keys() - kept
    assert {name for name, fault in named.items() if fault == "unknown feature"} == others.keys()


@given(features=features_of_any_type(), data=st.data())
def test_a_repeated_feature_of_any_name_and_value_is_named(features: list[Feature], data: st.DataObject) -> None:
    sent = data.draw(fields_for(features))
    name = data.draw(st.sampled_from(list(sent)))
    body = f"{json.dumps(sent)[:-1]}, {json.dumps(name)}: {json.dumps(sent[name])}}}"
    assert faults(codec_of(features), body) == {name: "given more than once"}


@given(features=features_of_any_type(), body=st.binary(max_size=80))
def test_any_bytes_are_a_row_or_a_client_error(features: list[Feature], body: bytes) -> None:
    codec = codec_of(features)
    many = (partial(codec.decode_rows, max_rows=MANY_ROWS), partial(codec.decode_csv, max_rows=MANY_ROWS))
    for decode in (codec.decode_row, *many):
        try:
            decode(body)
        except (MalformedBodyError, InvalidRowError):
            continue


WRONG = {
    "number": {
        '"1"': ("a number", "a string"),
        '""': ("a number", '""'),
        "true": ("a number", "a boolean"),
        "[1]": ("a number", "an array"),
        "{}": ("a number", "an object"),
        "1e39": ("a number" + NUMBER_BOUNDS, "1e39"),
        "-3.41e38": ("a number" + NUMBER_BOUNDS, "-3.41e38"),
        "1" + "0" * 400: ("a number" + NUMBER_BOUNDS, "1" + "0" * 63 + "..."),
    },
    "integer": {
        "3.0": ("a whole number" + INTEGER_BOUNDS, "3.0"),
        "1e3": ("a whole number" + INTEGER_BOUNDS, "1e3"),
        str(2**53 + 1): ("a whole number" + INTEGER_BOUNDS, "9007199254740993"),
        str(-(2**53) - 1): ("a whole number" + INTEGER_BOUNDS, "-9007199254740993"),
        "9" * 5000: ("a whole number" + INTEGER_BOUNDS, "9" * 64 + "..."),
        '"3"': ("a whole number", "a string"),
        "false": ("a whole number", "a boolean"),
    },
    "boolean": {
        "1": ("true or false", "1"),
        "0": ("true or false", "0"),
        '"true"': ("true or false", "a string"),
        "[true]": ("true or false", "an array"),
    },
    "category": {
        '""': ("text" + TEXT_BOUNDS, '""'),
        json.dumps("😀" * 1001): ("text" + TEXT_BOUNDS, "a string"),
        "7": ("text", "7"),
        "true": ("text", "a boolean"),
        '["red"]': ("text", "an array"),
    },
}
KINDS_OF_ELEMENTS = ("null", "an array", "a boolean")
KINDS = [(kind, value) for kind, wrong in WRONG.items() for value in wrong]


@pytest.mark.parametrize("name", ["x", "a:b", 'say "x"', "\x01\n", "\\", "花"])
@pytest.mark.parametrize(("kind", "value"), KINDS, ids=[f"{kind} {value[:9]}" for kind, value in KINDS])
def test_a_value_of_another_type_is_refused_with_the_expected_type(name: str, kind: Any, value: str) -> None:
    """The error is the same for names that a struct cannot have, which are decoded as a dictionary."""
    expected, got = WRONG[kind][value]
    for nullable, or_null in ((False, ""), (True, " or null")):
        codec = codec_of([feature(name, kind, nullable=nullable), feature("y", "number")])
        fault = f"expected {expected}{or_null}, got {got}"
        assert faults(codec, f'{{{json.dumps(name)}: {value}, "y": 1}}') == {name: fault}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("number", "a number"), ("integer", "a whole number"), ("boolean", "true or false"), ("category", "text")],
)
def test_null_is_a_value_of_nullable_features_only(kind: Any, expected: str) -> None:
    for name in ("x", '"'):
        codec = codec_of([feature(name, kind)])
        assert faults(codec, json.dumps({name: None})) == {name: f"expected {expected}, got null"}
        assert faults(codec, "{}") == {name: f"missing: expected {expected}"}
        codec = codec_of([feature(name, kind, nullable=True)])
        assert comparable(codec.decode_row(json.dumps({name: None}).encode())) == ("" if kind == "category" else None,)
        assert faults(codec, "{}") == {name: f"missing: expected {expected} or null"}


@pytest.mark.parametrize("value", [2**53, -(2**53), 0])
def test_integers_up_to_the_largest_that_float64_distinguishes_are_valid(value: int) -> None:
    assert codec_of([feature("n", "integer")]).decode_row(f'{{"n": {value}}}'.encode()) == (value,)


@pytest.mark.parametrize("text", ["é" * 1000, "😀" * 1000, "\0", ":::", "\\", "\\u003a", " ", "a\nb"])
def test_text_of_up_to_a_thousand_characters_is_read_unchanged(text: str) -> None:
    codec = codec_of([feature("c", "category")])
    for ascii_only in (True, False):
        body = json.dumps({"c": text}, ensure_ascii=ascii_only).encode()
        assert codec.decode_row(body) == (text,)
        assert codec.decode_rows(b"[" + body + b"]", MANY_ROWS) == [(text,)]


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\q"', r'"\u12"', '"a\nb"', '"'])
@pytest.mark.parametrize("name", ["c", '"'])
def test_an_invalid_string_is_not_json(name: str, text: str) -> None:
    """A lone surrogate, two invalid escapes, an unescaped control character, an unterminated string."""
    codec = codec_of([feature(name, "category")])
    body = f"{{{json.dumps(name)}: {text}}}".encode()
    for decode, sent in (
        (codec.decode_row, body),
        (partial(codec.decode_rows, max_rows=MANY_ROWS), b"[" + body + b"]"),
    ):
        with pytest.raises(MalformedBodyError, match=r"^the body is not JSON: "):
            decode(sent)


def test_a_name_with_an_escaped_colon_is_not_a_repeated_feature() -> None:
    codec = numbers("a:b")
    assert codec.decode_row(rb'{"a\u003ab": 1}') == (1.0,)
    assert codec.decode_rows(rb'[{"a\u003ab": 1}]', MANY_ROWS) == [(1.0,)]


def test_only_the_first_twenty_repeated_features_are_named() -> None:
    with pytest.raises(InvalidRowError, match="the first 20 faults are named") as refused:
        numbers("a").decode_rows(b"[" + b",".join([b'{"a": 1, "a": 2}'] * 1000) + b"]", MANY_ROWS)
    assert list(refused.value.fields) == [f"{index}.a" for index in range(20)]


def test_only_the_first_twenty_faults_of_rows_are_named() -> None:
    with pytest.raises(InvalidRowError, match="the first 20 faults are named") as refused:
        codec_of([feature("c", "category"), feature("b", "boolean")]).decode_rows(
            b"[" + b"{}," * 999 + b"{}]", MANY_ROWS
        )
    assert list(refused.value.fields) == [f"{index}.{name}" for index in range(10) for name in ("c", "b")]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'[{"a": 1}, 3, "x"]', {"1": "expected an object, got 3", "2": "expected an object, got a string"}),
        (b"[null, [1], true]", {str(i): f"expected an object, got {k}" for i, k in enumerate(KINDS_OF_ELEMENTS)}),
        (b'{"a": 1}', {}),
        (b"7", {}),
    ],
)
def test_an_element_that_is_not_an_object_is_named_by_its_index(body: bytes, fields: dict[str, str]) -> None:
    with pytest.raises(InvalidRowError) as refused:
        numbers("a").decode_rows(body, MANY_ROWS)
    assert refused.value.fields == fields


def test_only_the_row_that_repeats_a_feature_is_named() -> None:
    with pytest.raises(InvalidRowError, match=r"^features are repeated$") as refused:
        numbers("a").decode_rows(b'[{"a": 1}, {"a": 1, "a": 2}, {"\\u0061": 1}]', MANY_ROWS)
    assert refused.value.fields == {"1.a": "given more than once"}


@pytest.mark.parametrize("name", ["a", '"'])
def test_a_nested_row_of_any_depth_is_refused_with_a_client_error(name: str) -> None:
    codec = numbers(name)
    opening = f"{{{json.dumps(name)}:".encode()
    for depth in range(1, 1100):
        with pytest.raises((InvalidRowError, MalformedBodyError)):
            codec.decode_row(opening * depth + b"1" * (depth > 1) + b"}" * depth)


@pytest.mark.parametrize(
    ("labels", "output", "keys"),
    [((0, 1), b"1", ["0", "1"]), ((False, True), b"true", ["false", "true"]), (("no", "yes"), b'"yes"', ["no", "yes"])],
)
def test_a_label_keeps_its_type_as_output_and_is_its_json_text_as_key(
    labels: tuple[Any, ...], output: bytes, keys: list[str]
) -> None:
    codec = codec_of([feature("a", "number")], labels)
    answer = Answer(labels[1], (0.25, 0.75))
    whole = b'{"output":' + output + b',"model_name":"model_1"}'
    assert codec.encode_answer(answer, probabilities=False) == codec.known_answers[labels[1]] == whole
    by_label = dict(zip(keys, (0.25, 0.75), strict=True))
    assert json.loads(codec.encode_answer(answer, probabilities=True)) == {
        **json.loads(whole),
        "probabilities": by_label,
    }
    assert codec.encode_answers([answer], probabilities=False) == whole.replace(
        b'put":' + output, b'puts":[' + output + b"]"
    )
    assert json.loads(codec.encode_answers([answer], probabilities=True))["probabilities"] == [by_label]


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_regressor_answers_with_its_number_and_has_no_probabilities(*, probabilities: bool) -> None:
    codec = codec_of([feature("a", "number")], labels=())
    answers = [Answer(0.1, ()), Answer(-2.0, ())]
    assert codec.known_answers == {}
    assert codec.encode_answer(answers[0], probabilities=probabilities) == b'{"output":0.1,"model_name":"model_1"}'
    assert (
        codec.encode_answers(answers, probabilities=probabilities) == b'{"outputs":[0.1,-2.0],"model_name":"model_1"}'
    )


@pytest.mark.parametrize("last", ['{"x": 1}', '{"x": "1"}', '{"x": 1, "x": 1}', "7"])
def test_too_many_rows_are_refused_whatever_they_contain(last: str) -> None:
    codec = numbers("x")
    assert codec.decode_rows(b'[{"x": 1}, {"x": 2}]', 2) == [(1.0,), (2.0,)]
    with pytest.raises(BodyTooLargeError, match=r"^expected at most 2 rows at once, got 3$"):
        codec.decode_rows(f'[{{"x": 1}}, {{"x": 2}}, {last}]'.encode(), 2)


def test_among_valid_rows_the_faulty_ones_are_named() -> None:
    """Some valid rows look suspicious, since they have an extra colon or a backslash."""
    codec = codec_of([feature("c", "category"), feature("x", "number")])
    valid = ['{"c": "red", "x": 1}', '{"c": "a:b", "x": 1}', '{"c": "\\n", "x": 1}']
    wrong = ['{"c": "", "x": 1}', '{"c": "a:b"}', '{"c": "red", "x": 1, "\\u0063": "blue"}']
    body = ",".join([*valid, wrong[0], *valid, wrong[1], *valid, wrong[2], *valid])
    with pytest.raises(InvalidRowError) as refused:
        codec.decode_rows(f"[{body}]".encode(), MANY_ROWS)
    assert refused.value.fields == {
        "3.c": f'expected text{TEXT_BOUNDS}, got ""',
        "7.x": "missing: expected a number",
        "11.c": "given more than once",
    }
