"""A published version whose runs fail in onnxruntime for any batch with a marked row."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from server.contract.manifest import Manifest
from server.contract.signature import Signature
from tests.support.versions import publish_model

MARK = 1000.0
"""A row is marked if its first feature is larger."""


def publish_marked_model(models_dir: Path, like: Manifest, name: str = "marked") -> None:
    """Publish a model with the signature of another one; its label is the index of the largest of the last features."""
    publish_model(models_dir, like, name, _marked_model(like.signature))


def _marked_model(signature: Signature) -> bytes:
    """Make a model that gathers the label at the largest feature's index, or far out of bounds for a marked row."""
    floats = TensorProto.FLOAT
    width, labels = len(signature.features), len(signature.labels)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["numbers", "last"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["number"], axis=1, keepdims=0),
            helper.make_node("Gather", ["numbers", "first"], ["marks"], axis=1),
            helper.make_node("Greater", ["marks", "mark"], ["is_marked"]),
            helper.make_node("Where", ["is_marked", "beyond", "number"], ["chosen"]),
            helper.make_node("Gather", ["names", "chosen"], ["label"]),
        ],
        "marked",
        [helper.make_tensor_value_info("numbers", floats, ["n", width])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["n"]),
            helper.make_tensor_value_info("probabilities", floats, ["n", labels]),
        ],
        initializer=[
            numpy_helper.from_array(np.eye(width, dtype=np.float32)[:, -labels:], "last"),
            numpy_helper.from_array(np.array(0, dtype=np.int64), "first"),
            numpy_helper.from_array(np.array(MARK, dtype=np.float32), "mark"),
            numpy_helper.from_array(np.array(10 * labels, dtype=np.int64), "beyond"),
            numpy_helper.from_array(np.array(signature.labels, dtype=object), "names"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())
