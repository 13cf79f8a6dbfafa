"""The onnxruntime wrapper: rows -> answers; knows nothing of files, JSON or HTTP."""

import math
import os
from collections.abc import Sequence
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt

# Since 1.29 onnxruntime's wheels for Linux report on every session to their maker, by a thread and a database of their
# own, unless they are told not to before they are loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from server.errors import RefusedError, SessionError, UnanswerableError
from server.signature import Answer, Row, Signature, Tensor

DATATYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64", "tensor(string)": "BYTES"}
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
        self._input = signature.inputs[0].name
        self._features = len(signature.features)
        self._outputs = [output.name for output in signature.outputs]

    def run(self, rows: Sequence[Row] | npt.NDArray[np.float64]) -> list[Answer]:
        """Answers a batch.

        Args:
            rows: Shape ``(n, features)``; numbers in the units of the training table, taken as FP32.

        Returns:
            n answers, in the order of the rows.

        Raises:
            UnanswerableError: If an answer is not finite.
            SessionError: If onnxruntime fails, or gives another number of answers than rows.
        """
        try:
            batch = self._gather(rows)
            labels, probabilities = self._session.run(self._outputs, {self._input: batch})
        except Exception as error:
            raise SessionError(f"the model failed on a batch of {len(rows)} rows: {error}") from error
        by_row = probabilities.tolist()
        # A sum of FP32 values as doubles is finite where each of them is; numpy takes longer to begin than this takes.
        if not math.isfinite(sum(chain.from_iterable(by_row))):
            raise UnanswerableError("the model has no finite answer for these values: they are too extreme for it")
        if not len(labels) == len(probabilities) == len(rows):
            raise SessionError(f"expected {len(rows)} answers, got {len(labels)} labels, {len(probabilities)} lists")
        # As Answer._make does, without a Python frame for each row.
        return list(map(tuple.__new__, repeat(Answer), zip(labels.tolist(), by_row, strict=True)))

    def _gather(self, rows: Sequence[Row] | npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Puts the rows into one buffer; for a list of them this is the quickest way there is."""
        if isinstance(rows, np.ndarray):
            return rows.astype(np.float32)
        return np.fromiter(chain.from_iterable(rows), np.float32).reshape(len(rows), self._features)


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
