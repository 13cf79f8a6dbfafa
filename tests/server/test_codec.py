"""Any table's column names make a codec, and what it reads is what was sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.codec import Codec
from server.errors import InvalidRowError, MalformedBodyError
from server.signature import MAX_FP32, Answer, Feature, Signature, Tensor

NAMES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=1, max_size=6, unique=True)
NUMBERS = st.floats(-MAX_FP32, MAX_FP32) | st.integers(-(2**70), 2**70)


def codec_of(names: list[str], labels: tuple[str | int, ...] = ("a", "b")) -> Codec:
    signature = Signature(
        inputs=(Tensor("features", "FP32", (-1, len(names))),),
        outputs=(Tensor("label", "BYTES", (-1,)), Tensor("probabilities", "FP32", (-1, len(labels)))),
        features=tuple(Feature(name, "number", nullable=False, minimum=0, maximum=1) for name in names),
        labels=labels,
    )
    return Codec(signature, "model_1")


@given(names=NAMES, data=st.data(), ascii_only=st.booleans())
def test_a_row_is_read_in_the_signatures_order_whatever_its_names(
    names: list[str], data: st.DataObject, *, ascii_only: bool
) -> None:
    values = {name: data.draw(NUMBERS) for name in names}
    sent = {name: values[name] for name in data.draw(st.permutations(names))}
    expected = tuple(float(values[name]) for name in names)
    codec = codec_of(names)
    assert codec.decode_row(json.dumps(sent, ensure_ascii=ascii_only).encode()) == expected
    assert codec.decode_rows(json.dumps([sent, sent], ensure_ascii=ascii_only).encode()) == [expected, expected]


@given(names=NAMES, data=st.data())
def test_each_missing_and_unknown_feature_is_named(names: list[str], data: st.DataObject) -> None:
    sent = data.draw(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), NUMBERS, max_size=6))
    codec = codec_of(names)
    body = json.dumps(sent).encode()
    if set(sent) == set(names):
        codec.decode_row(body)
        return
    with pytest.raises(InvalidRowError) as refused:
        codec.decode_row(body)
    assert set(refused.value.fields) == set(sent) ^ set(names)


@given(body=st.binary(max_size=80))
def test_any_bytes_are_a_row_or_an_error_of_ours(body: bytes) -> None:
    codec = codec_of(["a", "b"])
    for decode in (codec.decode_row, codec.decode_rows):
        try:
            decode(body)
        except (MalformedBodyError, InvalidRowError):
            continue


def test_a_name_with_an_escaped_colon_is_not_taken_for_a_repeated_one() -> None:
    codec = codec_of(["a:b"])
    assert codec.decode_row(rb'{"a\u003ab": 1}') == (1.0,)
    assert codec.decode_rows(rb'[{"a\u003ab": 1}]') == [(1.0,)]


def test_of_many_repeated_features_the_first_twenty_are_named() -> None:
    with pytest.raises(InvalidRowError, match="the first 20 faults are named") as refused:
        codec_of(["a"]).decode_rows(b"[" + b",".join([b'{"a": 1, "a": 2}'] * 1000) + b"]")
    assert list(refused.value.fields) == [f"{index}.a" for index in range(20)]


def test_at_any_depth_a_nested_row_is_refused_in_our_own_words() -> None:
    codec = codec_of(["a"])
    for depth in range(1, 1100):
        with pytest.raises((InvalidRowError, MalformedBodyError)):
            codec.decode_row(b'{"a":' * depth + b"1" * (depth > 1) + b"}" * depth)


def test_whole_number_labels_are_answered_as_numbers() -> None:
    codec = codec_of(["a"], labels=(0, 1))
    answer = Answer(1, (0.25, 0.75))
    assert codec.encode_answer(answer, probabilities=False) == b'{"output":1,"model_name":"model_1"}'
    assert json.loads(codec.encode_answer(answer, probabilities=True))["probabilities"] == {"0": 0.25, "1": 0.75}
    assert json.loads(codec.encode_answers([answer], probabilities=False)) == {"outputs": [1], "model_name": "model_1"}
