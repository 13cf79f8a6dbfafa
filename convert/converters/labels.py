"""Whole-number labels of a compiled model -> the same in 64 bits: skl2onnx keeps those of many classifiers in 32.

A label beyond that would come out as another number. The constant is made wide, and what reads it takes either width.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, numpy_helper


def widen_labels(model: ModelProto, labels: npt.NDArray[Any]) -> None:
    """Writes whole-number labels anew where they do not fit into 32 bits.

    Args:
        model: The compiled model, which is changed.
        labels: The estimator's classes, in their order.
    """
    if labels.dtype.kind not in "iu":
        return
    narrow = labels.astype(np.int32)
    if (narrow == labels).all():
        return
    for constant in model.graph.initializer:
        if constant.data_type == TensorProto.INT32 and np.array_equal(numpy_helper.to_array(constant).ravel(), narrow):
            constant.CopyFrom(numpy_helper.from_array(labels.astype(np.int64), constant.name))
