"""A published version whose runs each take tens of milliseconds, for many multiplications by a large matrix."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from server.contract.manifest import Manifest
from server.contract.signature import Signature
from tests.support.versions import publish_model

WIDTH = 1024
PRODUCTS = 60


def publish_slow_model(models_dir: Path, like: Manifest, name: str = "slow") -> None:
    """Publish a slow linear model with the signature of another model."""
    publish_model(models_dir, like, name, _slow_model(like.signature))


def _slow_model(signature: Signature) -> bytes:
    """Make a model that widens a row, multiplies it by an orthogonal matrix many times, and takes a softmax."""
    floats = TensorProto.FLOAT
    width, labels = len(signature.features), len(signature.labels)
    random = np.random.default_rng(0)
    square = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))[0]
    constants = {
        "widen": random.normal(size=(width, WIDTH)),
        "square": square,
        "narrow": random.normal(size=(WIDTH, labels)) / WIDTH,
    }
    steps = ["numbers", *(f"step_{number}" for number in range(PRODUCTS + 1)), "scores"]
    factors = ["widen", *["square"] * PRODUCTS, "narrow"]
    products = [
        helper.make_node("MatMul", [taken, factor], [made])
        for taken, factor, made in zip(steps, factors, steps[1:], strict=False)
    ]
    graph = helper.make_graph(
        [
            *products,
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["probabilities"], ["number"], axis=1, keepdims=0),
            helper.make_node("Gather", ["names", "number"], ["label"]),
        ],
        "slow",
        [helper.make_tensor_value_info("numbers", floats, ["n", width])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["n"]),
            helper.make_tensor_value_info("probabilities", floats, ["n", labels]),
        ],
        initializer=[
            *(numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()),
            numpy_helper.from_array(np.array(signature.labels, dtype=object), "names"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())
