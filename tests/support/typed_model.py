"""A tiny compiled model for any signature, whose answers show which value came from which feature."""

import math
from collections.abc import Sequence

import attrs
import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from server.contract.manifest import Manifest
from server.contract.signature import Datatype, Label, Row, Signature, Value
from tests.support.signatures import feature, signature_of
from tests.support.versions import Fields, answer_golden_rows

FEATURES = (
    feature("n", "number"),
    feature("i", "integer", nullable=True),
    feature("b", "boolean", nullable=True),
    feature("c", "category", nullable=True),
)
GOLDEN: Sequence[Fields] = (
    {"n": 0.5, "i": 3, "b": True, "c": "red"},
    {"n": -9000.0, "i": None, "b": None, "c": None},
)
WORDS = {"red": 1.0, "blue": 2.0, "": 3.0}
"""The number that stands for each text of a category; 0 for any other text."""
MISSING = 5.0
"""The number that stands for a missing number."""
_DTYPES = {"FP32": (np.float32, TensorProto.FLOAT), "FP64": (np.float64, TensorProto.DOUBLE)}


def weigh(row: Row, signature: Signature) -> float:
    """Return the answer of the model as a regressor: the sum of all values, each times the weight of its column."""
    weights = dict(zip(_order(signature), _weights(len(row)), strict=True))
    return float(sum(_count(value) * weights[index] for index, value in enumerate(row)))


def typed_model(signature: Signature) -> bytes:
    """Make a regressor that weighs a row, or a classifier of two labels that predicts the second for a large weight."""
    dtype, element = _DTYPES[signature.inputs[0].datatype if signature.inputs[0].name == "numbers" else "FP32"]
    counts = {tensor.name: tensor.shape[1] for tensor in signature.inputs}
    weights = np.array(_weights(len(signature.features)), dtype)
    nodes, constants, sums = [], {}, []
    if "numbers" in counts:
        constants["by_number"] = weights[: counts["numbers"], None]
        constants["missing"] = np.array(MISSING, dtype)
        nodes.append(helper.make_node("IsNaN", ["numbers"], ["are_missing"]))
        nodes.append(helper.make_node("Where", ["are_missing", "missing", "numbers"], ["filled"]))
        nodes.append(helper.make_node("MatMul", ["filled", "by_number"], ["of_numbers"]))
        sums.append("of_numbers")
    if "categories" in counts:
        constants["by_category"] = weights[counts.get("numbers", 0) :, None]
        nodes += _count_words(element)
        sums.append("of_categories")
    nodes.append(helper.make_node("Sum", sums, ["variable"]))
    if signature.labels:
        nodes += _classify(signature, constants, dtype)
    types = {"FP32": TensorProto.FLOAT, "FP64": element, "INT64": TensorProto.INT64, "BYTES": TensorProto.STRING}
    infos = {
        tensor.name: helper.make_tensor_value_info(tensor.name, types[tensor.datatype], ["n", *tensor.shape[1:]])
        for tensor in (*signature.inputs, *signature.outputs)
    }
    graph = helper.make_graph(
        nodes,
        "typed",
        [infos[tensor.name] for tensor in signature.inputs],
        [infos[tensor.name] for tensor in signature.outputs],
        initializer=[numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    versions = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=versions, ir_version=10).SerializeToString())


def _count(value: Value) -> float:
    if isinstance(value, str):
        return WORDS.get(value, 0.0)
    return MISSING if math.isnan(value) else value


def _order(signature: Signature) -> Sequence[int]:
    """Return the indices of a row's values in the order of the model's columns: numbers first."""
    indices = range(len(signature.features))
    return sorted(indices, key=lambda index: signature.features[index].type == "category")


def _weights(count: int) -> list[float]:
    return [float(8**index) for index in range(count)]


def _count_words(element: int) -> list[NodeProto]:
    coded = helper.make_node(
        "LabelEncoder",
        ["categories"],
        ["words"],
        domain="ai.onnx.ml",
        keys_strings=list(WORDS),
        values_floats=list(WORDS.values()),
        default_float=0.0,
    )
    cast = helper.make_node("Cast", ["words"], ["counted"], to=element)
    return [coded, cast, helper.make_node("MatMul", ["counted", "by_category"], ["of_categories"])]


def _classify(signature: Signature, constants: "dict[str, np.ndarray]", dtype: type) -> list[NodeProto]:
    constants["one"] = np.array(1, dtype)
    nodes = [
        helper.make_node("Sigmoid", ["variable"], ["likely"]),
        helper.make_node("Sub", ["one", "likely"], ["unlikely"]),
        helper.make_node("Concat", ["unlikely", "likely"], ["exact"], axis=1),
        helper.make_node("Cast", ["exact"], ["probabilities"], to=TensorProto.FLOAT),
    ]
    is_text = isinstance(signature.labels[0], str)
    nodes.append(helper.make_node("ArgMax", ["exact"], ["number"], axis=1, keepdims=0))
    values = np.array(signature.labels, dtype=object if is_text else np.int64)
    constants["values"] = values
    return [*nodes, helper.make_node("Gather", ["values", "number"], ["label"])]


def typed_signature(labels: tuple[Label, ...], numbers: Datatype = "FP32") -> Signature:
    """Return a signature with a feature of every type."""
    return signature_of(FEATURES, labels, numbers)


def typed_manifest(like: Manifest, labels: tuple[Label, ...], numbers: Datatype = "FP32") -> Manifest:
    """Return the manifest of such a model; one of its golden rows has every value, and one has nulls."""
    signature = typed_signature(labels, numbers)
    golden = answer_golden_rows(GOLDEN, signature, typed_model(signature))
    return attrs.evolve(like, name="typed", model_name="typed_1", files={}, signature=signature, golden=golden)
