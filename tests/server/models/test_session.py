"""The session answers rows in order and turns every failure of the model into one error."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from server.codec.json_rows import Codec
from server.contract.signature import Answer, Feature, Label, Row, Value
from server.contract.types import Type
from server.errors import RefusedError, SessionError, UnanswerableError
from server.models.repository import MODEL_FILE
from server.models.session import Session
from tests.support.signatures import feature, signature_of
from tests.support.typed_model import typed_model, weigh
from tests.support.workshop import Workshop


@pytest.fixture(scope="module")
def session(iris_workshop: Workshop) -> Session:
    return Session((iris_workshop.version_dir / MODEL_FILE).read_bytes(), iris_workshop.manifest().signature)


def test_rows_are_answered_in_their_order(session: Session, iris_workshop: Workshop) -> None:
    golden = iris_workshop.manifest().golden
    codec = Codec(iris_workshop.manifest().signature, "iris")
    answers = session.run([codec.decode_row(known.to_request()) for known in golden])
    assert [answer.label for answer in answers] == [known.output for known in golden]
    for answer, known in zip(answers, golden, strict=True):
        assert answer.probabilities == pytest.approx(known.probabilities, abs=1e-6)


@pytest.mark.parametrize("rows", [[(1.0, 2.0)], [(1.0, 2.0, 3.0, 4.0), (1.0,)]])
def test_rows_with_a_wrong_number_of_values_are_an_error(session: Session, rows: list[tuple[float, ...]]) -> None:
    with pytest.raises(SessionError, match=f"^the model failed on a batch of {len(rows)} rows: "):
        session.run(rows)


def test_values_that_make_the_model_overflow_are_unanswerable(session: Session) -> None:
    with pytest.raises(UnanswerableError, match="no finite answer"):
        session.run([(5.0, 2.0, 3.0, 4.0), (3e38, -3e38, 3e38, -3e38)])


def test_a_model_that_returns_a_wrong_number_of_answers_is_an_error() -> None:
    """The graph drops repeated rows. Its declared shapes do not show this."""
    signature = signature_of([feature("a", "number"), feature("b", "number")], labels=(0, 1))
    with pytest.raises(SessionError, match=r"^expected 2 answers, got 1 and 1$"):
        Session(distinct_rows_only(), signature).run([(0.0, 1.0), (0.0, 1.0)])


def test_a_model_without_the_declared_inputs_or_outputs_is_refused(iris_workshop: Workshop) -> None:
    with pytest.raises(RefusedError, match="the model's inputs are not its signature's"):
        Session(distinct_rows_only(), iris_workshop.manifest().signature)
    with pytest.raises(RefusedError, match=r"the model's outputs are not its signature's: expected .*BYTES.*INT64"):
        Session(distinct_rows_only(), signature_of([feature("a", "number"), feature("b", "number")], ("a", "b")))


def any_features(data: st.DataObject) -> list[Feature]:
    kinds = data.draw(st.lists(st.sampled_from(get_args(Type)), min_size=1, max_size=6))
    return [feature(f"f{index}", kind, nullable=True) for index, kind in enumerate(kinds)]


def value_of(one: Feature) -> st.SearchStrategy[Value]:
    """Draw a value that float32 holds exactly, as it does the weighted sum of such values."""
    if one.type == "category":
        return st.sampled_from(["red", "blue", "", "Red", "red ", "red\0", "\0", "😀"])
    given = st.booleans() if one.type == "boolean" else st.integers(-20, 20).map(lambda number: number / 4)
    return given | st.just(math.nan)


@given(data=st.data(), datatype=st.sampled_from(["FP32", "FP64"]))
@settings(max_examples=50, deadline=None)
def test_each_value_reaches_its_own_column_for_any_order_of_features(
    data: st.DataObject, datatype: Literal["FP32", "FP64"]
) -> None:
    features = any_features(data)
    signature = signature_of(features, (), datatype if {one.type for one in features} != {"category"} else "FP32")
    rows = data.draw(st.lists(st.tuples(*map(value_of, features)), max_size=5))
    answers = Session(typed_model(signature), signature).run(rows)
    assert answers == [Answer(weigh(row, signature), ()) for row in rows]


@pytest.mark.parametrize("kinds", [["number"], ["category"], ["category", "number"]])
@pytest.mark.parametrize("labels", [(), ("a", "b"), (False, True)])
def test_no_rows_have_no_answers(kinds: list[Type], labels: tuple[Label, ...]) -> None:
    signature = signature_of([feature(kind, kind) for kind in kinds], labels)
    assert Session(typed_model(signature), signature).run([]) == []


def test_numbers_are_float64_if_the_model_takes_float64() -> None:
    for datatype, expected in (("FP32", float(np.float32(0.1))), ("FP64", 0.1)):
        signature = signature_of([feature("a", "number")], (), datatype)  # type: ignore[arg-type]  # a literal of a loop
        assert Session(typed_model(signature), signature).run([(0.1,)]) == [Answer(expected, ())]


@pytest.mark.parametrize(("labels", "kind"), [((False, True), bool), ((0, 1), int), ((7, -3), int), (("a", "b"), str)])
def test_a_label_has_the_type_of_the_signatures_labels(labels: tuple[Label, ...], kind: type) -> None:
    signature = signature_of([feature("a", "number"), feature("c", "category")], labels)
    answers = Session(typed_model(signature), signature).run([(-9.0, ""), (9.0, "red")])
    assert [answer.label for answer in answers] == [labels[1], labels[1]]
    answers = Session(typed_model(signature), signature).run([(-90.0, ""), (9.0, "red")])
    assert [(answer.label, type(answer.label)) for answer in answers] == [(labels[0], kind), (labels[1], kind)]
    assert [sum(answer.probabilities) for answer in answers] == pytest.approx([1, 1])


@pytest.mark.parametrize("row", [(math.inf, 1.0), (math.inf, -math.inf), (3e38, 3e38)], ids=["inf", "NaN", "overflow"])
def test_a_regressors_answer_that_is_not_finite_is_unanswerable(row: Row) -> None:
    signature = signature_of([feature("a", "number"), feature("b", "number")], ())
    with pytest.raises(UnanswerableError, match="no finite answer"):
        Session(typed_model(signature), signature).run([(1.0, 1.0), row])


def test_finite_numbers_are_answers_even_if_their_sum_overflows() -> None:
    signature = signature_of([feature("a", "number")], (), "FP64")
    assert Session(typed_model(signature), signature).run([(1e308,)] * 2) == [Answer(1e308, ())] * 2


@pytest.mark.parametrize("row", [(), (1.0,), ("red", 1.0)])
def test_a_row_that_does_not_fit_the_signature_is_an_error(row: Row) -> None:
    signature = signature_of([feature("a", "number"), feature("c", "category")], ())
    with pytest.raises(SessionError, match=r"^the model failed on a batch of 2 rows: "):
        Session(typed_model(signature), signature).run([(1.0, "red"), row])


def distinct_rows_only() -> bytes:
    floats, integers = TensorProto.FLOAT, TensorProto.INT64
    graph = helper.make_graph(
        [
            helper.make_node("Unique", ["numbers"], ["probabilities"], axis=0),
            helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        ],
        "distinct_rows_only",
        [helper.make_tensor_value_info("numbers", floats, ["n", 2])],
        [
            helper.make_tensor_value_info("label", integers, ["m"]),
            helper.make_tensor_value_info("probabilities", floats, ["m", 2]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())


def test_onnxruntimes_telemetry_is_disabled(iris_workshop: Workshop, tmp_path: Path) -> None:
    """Its telemetry keeps a database in the user's home, but not if the variable CI is set, so that is removed."""
    script = "import sys, server.models.session, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
    variables = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    subprocess.run(
        [sys.executable, "-c", script, iris_workshop.version_dir / MODEL_FILE],
        env={**variables, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
