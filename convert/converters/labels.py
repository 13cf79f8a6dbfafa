"""Widens integer labels of a compiled model to 64 bits.

skl2onnx stores those of many classifiers in 32 bits, so that a larger label becomes another number. The constant is
replaced; the nodes that read it take either type.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, numpy_helper


def widen_labels(model: ModelProto, labels: npt.NDArray[Any]) -> None:
    """Replaces the constant of integer labels by one of 64 bits if they do not fit into 32.

    Args:
        model: The compiled model, which is modified.
        labels: The estimator's classes, in order.
    """
    if labels.dtype.kind not in "iu":
        return
    narrow = labels.astype(np.int32)
    if (narrow == labels).all():
        return
    for constant in model.graph.initializer:
        if constant.data_type == TensorProto.INT32 and np.array_equal(numpy_helper.to_array(constant).ravel(), narrow):
            constant.CopyFrom(numpy_helper.from_array(labels.astype(np.int64), constant.name))
