"""The session answers rows in order and turns every failure of the model into one error."""

import os
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
from onnx import TensorProto, helper

from server.errors import RefusedError, SessionError, UnanswerableError
from server.repository import MODEL_FILE
from server.session import Session
from server.signature import Feature, Signature, Tensor
from tests.conftest import Workshop


@pytest.fixture(scope="module")
def session(iris_workshop: Workshop) -> Session:
    return Session((iris_workshop.version_dir / MODEL_FILE).read_bytes(), iris_workshop.manifest().signature)


def test_rows_are_answered_in_their_order(session: Session, iris_workshop: Workshop) -> None:
    golden = iris_workshop.manifest().golden
    answers = session.run([tuple(known.row.values()) for known in golden])
    assert [answer.label for answer in answers] == [known.output for known in golden]
    for answer, known in zip(answers, golden, strict=True):
        assert answer.probabilities == pytest.approx(known.probabilities, abs=1e-6)


def test_an_array_is_answered_as_its_rows_are(session: Session) -> None:
    rows = [(5.0, 2.0, 3.0, 4.0), (5.1, 3.5, 1.4, 0.2)]
    assert session.run(np.array(rows)) == session.run(rows)


@pytest.mark.parametrize("rows", [[(1.0, 2.0)], [(1.0, 2.0, 3.0, 4.0), (1.0,)]])
def test_rows_of_another_width_are_an_error(session: Session, rows: list[tuple[float, ...]]) -> None:
    with pytest.raises(SessionError, match=f"^the model failed on a batch of {len(rows)} rows: "):
        session.run(rows)


def test_values_that_make_the_model_overflow_are_unanswerable(session: Session) -> None:
    with pytest.raises(UnanswerableError, match="no finite answer"):
        session.run([(5.0, 2.0, 3.0, 4.0), (3e38, -3e38, 3e38, -3e38)])


def test_a_model_that_answers_another_number_of_rows_is_an_error(iris_workshop: Workshop) -> None:
    """The graph drops repeated rows, which its declared shapes do not show."""
    signature = attrs.evolve(
        iris_workshop.manifest().signature,
        inputs=(Tensor("features", "FP32", (-1, 2)),),
        outputs=(Tensor("label", "INT64", (-1,)), Tensor("probabilities", "FP32", (-1, 2))),
        features=tuple(Feature(name, "number", nullable=False, minimum=0, maximum=1) for name in "ab"),
        labels=(0, 1),
    )
    with pytest.raises(SessionError, match="expected 2 answers, got 1 labels, 1 lists"):
        Session(distinct_rows_only(), signature).run([(0.0, 1.0), (0.0, 1.0)])


def test_a_model_without_the_declared_outputs_is_refused(iris_workshop: Workshop) -> None:
    signature: Signature = iris_workshop.manifest().signature
    with pytest.raises(RefusedError, match="the model's inputs are not its signature's"):
        Session(distinct_rows_only(), signature)


def distinct_rows_only() -> bytes:
    floats, whole = TensorProto.FLOAT, TensorProto.INT64
    graph = helper.make_graph(
        [
            helper.make_node("Unique", ["features"], ["probabilities"], axis=0),
            helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        ],
        "distinct_rows_only",
        [helper.make_tensor_value_info("features", floats, ["n", 2])],
        [
            helper.make_tensor_value_info("label", whole, ["m"]),
            helper.make_tensor_value_info("probabilities", floats, ["m", 2]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())


def test_onnxruntime_is_kept_from_reporting_to_its_maker(iris_workshop: Workshop, tmp_path: Path) -> None:
    """Where it reports it keeps a database in the user's home; under CI it would not, so none is told of."""
    script = "import sys, server.session, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
    variables = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    subprocess.run(
        [sys.executable, "-c", script, iris_workshop.version_dir / MODEL_FILE],
        env={**variables, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
