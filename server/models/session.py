"""The onnxruntime wrapper: rows -> answers; knows nothing of files, JSON or HTTP."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

# Since 1.29 onnxruntime's wheels for Linux report on every session to their maker, by a thread and a database of their
# own, unless they are told not to before they are loaded.
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
"""onnxruntime raises what it would log as an error, and its log is none of ours."""


class Session:
    """One compiled model, ready to run.

    No spinning: on a small host a waiting thread takes the core that would read the next request.
    """

    def __init__(self, model: bytes, signature: Signature, threads: int = 1) -> None:
        """Loads the model and holds it against its signature.

        Args:
            model: ONNX bytes.
            signature: What the model must take and give.
            threads: How many threads a run may use, the caller's among them.

        Raises:
            RefusedError: If onnxruntime cannot load it, or it takes or gives something else.
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
        _hold_against("inputs", self._session.get_inputs(), signature.inputs)
        _hold_against("outputs", self._session.get_outputs(), signature.outputs)
        self._is_regressor = signature.is_regressor
        self._has_boolean_labels = any(isinstance(label, bool) for label in signature.labels)
        self._gather = _choose_gather(signature)
        self._outputs = [output.name for output in signature.outputs]

    def run(self, rows: Sequence[Row]) -> list[Answer]:
        """Answers a batch.

        Args:
            rows: n rows; numbers in the units of the training table.

        Returns:
            n answers, in the order of the rows.

        Raises:
            UnanswerableError: If an answer is not finite.
            SessionError: If onnxruntime fails, or gives another number of answers than rows.
        """
        try:
            outputs = self._session.run(self._outputs, self._gather(rows))
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
        # ONNX models of scikit-learn's give a boolean class as a whole number.
        labels = (outputs[0].astype(bool) if self._has_boolean_labels else outputs[0]).tolist()
        # As Answer._make does, without a Python frame for each row.
        return list(map(tuple.__new__, repeat(Answer), zip(labels, by_row, strict=True)))

    def _are_finite(self, numbers: Iterable[float]) -> bool:
        """Says whether each number is finite; numpy takes longer to begin than this takes."""
        if self._is_regressor:
            return all(map(math.isfinite, numbers))
        # A sum of probabilities is finite where each of them is; that of a regressor's numbers may still overflow.
        return math.isfinite(sum(numbers))


def _choose_gather(signature: Signature) -> Callable[[Sequence[Row]], dict[str, npt.NDArray[Any]]]:
    """Gives what puts rows into one buffer an input; for numbers alone this is the quickest way there is."""
    names = [tensor.name for tensor in signature.inputs]
    dtypes = [_DTYPES[tensor.datatype] for tensor in signature.inputs]
    width = len(signature.features)
    if names == [NUMBERS]:
        name, dtype = names[0], dtypes[0]
        return lambda rows: {name: np.fromiter(chain.from_iterable(rows), dtype).reshape(len(rows), width)}
    is_category = [feature.type == "category" for feature in signature.features]
    places = {
        NUMBERS: [place for place in range(width) if not is_category[place]],
        CATEGORIES: [place for place in range(width) if is_category[place]],
    }

    def gather(rows: Sequence[Row], wanted: Sequence[int], dtype: type) -> npt.NDArray[Any]:
        return np.array([[row[place] for place in wanted] for row in rows], dtype).reshape(len(rows), len(wanted))

    inputs = [(name, places[name], dtype) for name, dtype in zip(names, dtypes, strict=True)]
    return lambda rows: {name: gather(rows, wanted, dtype) for name, wanted, dtype in inputs}


def read_runtime() -> tuple[str, tuple[str, ...]]:
    """Gives onnxruntime's version, and what it could run models on here."""
    return onnxruntime.__version__, tuple(onnxruntime.get_available_providers())


def _hold_against(what: str, nodes: Sequence[onnxruntime.NodeArg], tensors: Sequence[Tensor]) -> None:
    found = tuple((node.name, DATATYPES.get(node.type, node.type), _shape(node.shape)) for node in nodes)
    expected = tuple((tensor.name, tensor.datatype, tensor.shape) for tensor in tensors)
    if found != expected:
        raise RefusedError(f"the model's {what} are not its signature's: expected {expected}, got {found}")


def _shape(shape: Sequence[int | str | None]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in shape)
