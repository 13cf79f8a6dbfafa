"""skl2onnx's scope, operator and container -> one pen that draws nodes; knows nothing of estimators' families."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

from convert.converters.ensemble import Precision, build_ensemble
from convert.converters.tree import Tree
from convert.errors import ConvertError

_ONNX_ML, _ML_VERSION = "ai.onnx.ml", 3
_TYPES = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE}


@attrs.frozen(eq=False)
class Graph:
    """Draws the nodes of one operator; names are those of tensors.

    Attributes:
        scope: skl2onnx's source of names that are still free.
        operator: What is converted, with its inputs and outputs.
        container: Where nodes and constants are put.
    """

    scope: Any
    operator: Any
    container: Any

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Adds a node of ONNX's main set and gives the name of its output."""
        output = output or self.scope.get_unique_variable_name(kind.lower())
        self.container.add_node(kind, list(inputs), [output], **attributes)
        return output

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Adds a constant and gives its name."""
        name: str = self.scope.get_unique_variable_name("constant")
        tensor = numpy_helper.from_array(values, name)
        self.container.initializers.append(tensor)
        return name

    @property
    def takes_float32(self) -> bool:
        """Says whether the operator's input is float32."""
        return isinstance(self.operator.inputs[0].type, FloatTensorType)

    @property
    def gives_raw_scores(self) -> bool:
        """Says whether the operator is asked for raw scores in the place of probabilities."""
        options = self.container.get_options(self.operator.raw_operator, {"raw_scores": False})
        return bool(options["raw_scores"])

    def ask_leaves(self, trees: tuple[Tree, ...], precision: Precision) -> str:
        """Draws what each tree's leaf says of each row: float64 of shape ``(trees, rows, outputs)``.

        Args:
            trees: The trees.
            precision: In which scikit-learn compares; the input is cast to it as scikit-learn casts it.
        """
        ensemble = build_ensemble(trees, precision)
        rows = self._rows(precision)
        places: str = self.scope.get_unique_variable_name("places")
        self.container.add_node("TreeEnsembleRegressor", [rows], [places], _ONNX_ML, _ML_VERSION, **ensemble.attributes)
        numbered = self.add("Cast", places, to=TensorProto.INT32)
        by_tree = self.add("Transpose", numbered, perm=[1, 0])
        return self.add("Gather", self.constant(ensemble.table), by_tree, axis=0)

    def add_up(self, leaves: str) -> str:
        """Draws the sum over the first axis, one after the other, as onnxruntime reduces an outermost axis."""
        return self.add("ReduceSum", leaves, self.constant(np.array([0])), keepdims=0)

    def give_labels(self, scores: str, *, last_of_equals: bool = False) -> None:
        """Draws the operator's label output: the class of the greatest score, of shape ``(rows,)``.

        Args:
            scores: float64 of shape ``(rows, classes)``.
            last_of_equals: Whether the last of equal scores wins, and not the first as in ``numpy.argmax``.
        """
        winner = self.add("ArgMax", scores, axis=1, keepdims=0, select_last_index=int(last_of_equals))
        labels = self.constant(_labels(self.operator.raw_operator.classes_))
        self.add("Gather", labels, winner, axis=0, output=self.operator.outputs[0].full_name)

    def give_numbers(self, numbers: str) -> None:
        """Draws the operator's last output of float64 numbers, cast to the type that it is declared with."""
        output = self.operator.outputs[-1]
        to = TensorProto.DOUBLE if isinstance(output.type, DoubleTensorType) else TensorProto.FLOAT
        self.add("Cast", numbers, to=to, output=output.full_name)

    def _rows(self, precision: Precision) -> str:
        name: str = self.operator.inputs[0].full_name
        if self.takes_float32 and precision is np.float32:
            return name
        return self.add("Cast", name, to=_TYPES[precision])


def _labels(classes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if classes.dtype.kind in "biu":
        return classes.astype(np.int64)
    if all(isinstance(label, str) for label in classes.tolist()):
        return classes.astype(object)
    raise ConvertError(f"expected labels of whole numbers, truth values or text, got {classes.tolist()[:3]}")
