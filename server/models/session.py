"""Runs a compiled model with onnxruntime: a batch of rows in, an answer for each row out."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

# Disables telemetry. Since 1.29 onnxruntime's wheels for Linux report every session to their maker, with a thread and
# a database of their own, unless this is set before the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from server.contract.signature import CATEGORIES, NUMBERS, Answer, Row, Signature, Tensor
from server.errors import RefusedError, SessionError, UnanswerableError

DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(int64)": "INT64",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}
_DTYPES = {"FP32": np.float32, "FP64": np.float64, "BYTES": object}
_FATAL_ONLY = 4
"""The log level of onnxruntime. It raises its errors too, and its own log would bypass the server's."""


class Session:
    """One compiled model, ready to run.

    Spinning is off: on a small host a spinning thread takes the core that would read the next request.
    """

    def __init__(self, model: bytes, signature: Signature, threads: int = 1) -> None:
        """Load the model, and check its inputs and outputs against the signature.

        Args:
            model: ONNX bytes.
            signature: The inputs and outputs that the model must have.
            threads: Number of threads that a run may use, the caller's included.

        Raises:
            RefusedError: If onnxruntime cannot load the model, or its inputs or outputs differ from the signature.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise RefusedError(f"onnxruntime cannot load the model: {error}") from error
        _check("inputs", self._session.get_inputs(), signature.inputs)
        _check("outputs", self._session.get_outputs(), signature.outputs)
        self._is_regressor = signature.is_regressor
        self._has_boolean_labels = any(isinstance(label, bool) for label in signature.labels)
        self._to_inputs = _choose_to_inputs(signature)
        self._outputs = [output.name for output in signature.outputs]

    def run(self, rows: Sequence[Row]) -> list[Answer]:
        """Answer a batch.

        Args:
            rows: n rows, with numbers in the units of the training table.

        Returns:
            n answers, in the order of the rows.

        Raises:
            UnanswerableError: If an answer is not finite.
            SessionError: If onnxruntime fails, or the number of answers is not n.
        """
        try:
            outputs = self._session.run(self._outputs, self._to_inputs(rows))
        except Exception as error:
            raise SessionError(f"the model failed on a batch of {len(rows)} rows: {error}") from error
        if not len(outputs[0]) == len(outputs[-1]) == len(rows):
            lengths = " and ".join(str(len(output)) for output in outputs)
            raise SessionError(f"expected {len(rows)} answers, got {lengths}")
        by_row = outputs[-1].tolist()
        if not self._are_finite(chain.from_iterable(by_row)):
            raise UnanswerableError("the model has no finite answer for these values: they are too extreme for it")
        if self._is_regressor:
            return [Answer(number, ()) for (number,) in by_row]
        # The ONNX models of scikit-learn's classifiers return a boolean class as an integer.
        labels = (outputs[0].astype(bool) if self._has_boolean_labels else outputs[0]).tolist()
        # The same as Answer._make, without a Python frame for each row.
        return list(map(tuple.__new__, repeat(Answer), zip(labels, by_row, strict=True)))

    def _are_finite(self, numbers: Iterable[float]) -> bool:
        """Return True if all numbers are finite; for a small batch the overhead of numpy is larger than this."""
        if self._is_regressor:
            return all(map(math.isfinite, numbers))
        # The sum of finite probabilities is finite; the sum of a regressor's finite numbers may overflow.
        return math.isfinite(sum(numbers))


def _choose_to_inputs(signature: Signature) -> Callable[[Sequence[Row]], dict[str, npt.NDArray[Any]]]:
    """Return the function from rows to an array for each input; models of numbers alone have a faster one."""
    names = [tensor.name for tensor in signature.inputs]
    dtypes = [_DTYPES[tensor.datatype] for tensor in signature.inputs]
    width = len(signature.features)
    if names == [NUMBERS]:
        name, dtype = names[0], dtypes[0]
        return lambda rows: {name: np.fromiter(chain.from_iterable(rows), dtype).reshape(len(rows), width)}
    is_category = [feature.type == "category" for feature in signature.features]
    columns = {
        NUMBERS: [index for index in range(width) if not is_category[index]],
        CATEGORIES: [index for index in range(width) if is_category[index]],
    }

    def to_array(rows: Sequence[Row], indices: Sequence[int], dtype: type) -> npt.NDArray[Any]:
        return np.array([[row[index] for index in indices] for row in rows], dtype).reshape(len(rows), len(indices))

    inputs = [(name, columns[name], dtype) for name, dtype in zip(names, dtypes, strict=True)]
    return lambda rows: {name: to_array(rows, indices, dtype) for name, indices, dtype in inputs}


def read_runtime() -> tuple[str, tuple[str, ...]]:
    """Return the version of onnxruntime, and the execution providers that it has on this host."""
    return onnxruntime.__version__, tuple(onnxruntime.get_available_providers())


def _check(what: str, nodes: Sequence[onnxruntime.NodeArg], tensors: Sequence[Tensor]) -> None:
    found = tuple((node.name, DATATYPES.get(node.type, node.type), _shape(node.shape)) for node in nodes)
    expected = tuple((tensor.name, tensor.datatype, tensor.shape) for tensor in tensors)
    if found != expected:
        raise RefusedError(f"the model's {what} are not its signature's: expected {expected}, got {found}")


def _shape(shape: Sequence[int | str | None]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in shape)
