"""What a converter writes with: operator names and arrays -> nodes of an ONNX graph; knows nothing of estimators."""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, guess_proto_type

from convert.errors import ConvertError

_DTYPES = {"f": np.float64, "i": np.int64, "b": np.bool_, "U": np.object_}
"""What an array of a kind is written as: every constant is as wide as there is."""

ML_VERSION = 3
"""Of the operators of ai.onnx.ml; skl2onnx takes none above, and would choose the newest."""


@attrs.frozen(eq=False)
class Graph:
    """Nodes in the making; every value has a name of its own.

    Attributes:
        scope: Where names come from.
        container: What takes the constants, and the nodes of the outermost graph.
        inner: The nodes of a loop's body or a branch; None in the outermost graph.
        constants: Names of the outermost graph's constants, each of which is there once.
    """

    scope: Scope
    container: ModelComponentContainer
    inner: list[NodeProto] | None = None
    constants: dict[tuple[str, tuple[int, ...], bytes], str] = attrs.field(factory=dict)

    def constant(self, values: Any) -> str:
        """Adds an array: double for any number with a point, int64 for whole ones, bool or text."""
        array = np.asarray(values)
        wide: npt.NDArray[Any] = array.astype(_DTYPES[array.dtype.kind])
        if self.inner is not None:
            return self.node("Constant", value=numpy_helper.from_array(wide))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = self.name("constant")
            self.container.initializers.append(numpy_helper.from_array(wide, self.constants[key]))
        return self.constants[key]

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Adds a node with one output."""
        (output,) = self.nodes(operator, *inputs, outputs=1, domain=domain, **attributes)
        return output

    def nodes(self, operator: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """Adds a node with several outputs."""
        names = [self.name(operator.lower()) for _ in range(outputs)]
        if self.inner is None:
            version = ML_VERSION if domain else None
            self.container.add_node(operator, list(inputs), names, domain, version, **attributes)
        else:
            self.inner.append(helper.make_node(operator, list(inputs), names, domain=domain, **attributes))
        return names

    def give(self, value: str, output: str, element: int | None = None) -> None:
        """Ends in one of the converter's outputs, cast to an element where one is named."""
        if element is None:
            self.container.add_node("Identity", [value], [output])
        else:
            self.container.add_node("Cast", [value], [output], to=element)

    def name(self, stem: str) -> str:
        """Makes a name that no other value has."""
        unique: str = self.scope.get_unique_variable_name(stem)
        return unique

    def body(self) -> "Graph":
        """Begins a loop's body or a branch, which sees the values of this graph."""
        return attrs.evolve(self, inner=[])

    def written(self) -> list[NodeProto]:
        """Gives the nodes of a loop's body or a branch."""
        return self.inner or []


def read_doubles(graph: Graph, operator: Operator) -> str:
    """Puts an operator's inputs side by side as doubles: the elements in which scikit-learn computes."""
    columns = [
        variable.full_name
        if isinstance(variable.type, DoubleTensorType)
        else graph.node("Cast", variable.full_name, to=TensorProto.DOUBLE)
        for variable in operator.inputs
    ]
    return columns[0] if len(columns) == 1 else graph.node("Concat", *columns, axis=1)


def number_element(operator: Operator) -> int:
    """Gives the element of an operator's numeric outputs: double where its input is, float otherwise."""
    double: int = TensorProto.DOUBLE
    return double if guess_proto_type(operator.inputs[0].type) == double else TensorProto.FLOAT


def add_in_order(graph: Graph, terms: Sequence[str]) -> str:
    """Adds terms from the first to the last, so that the roundings are those of a loop over them."""
    total, *others = terms
    for term in others:
        total = graph.node("Add", total, term)
    return total


def give_label(graph: Graph, position: str, classes: npt.NDArray[Any], output: str) -> None:
    """Turns class positions, shape ``(n,)``, into labels, text or int64.

    Raises:
        ConvertError: If the classes are neither whole numbers, truth values nor text.
    """
    if classes.dtype.kind in "biu":
        labels = classes.astype(np.int64)
    elif all(isinstance(label, str) for label in classes.tolist()):
        labels = classes.astype(str)
    else:
        raise ConvertError(f"expected labels of whole numbers, truth values or text, got {classes.tolist()[:3]}")
    graph.give(graph.node("Gather", graph.constant(labels), position), output)


def declare_numbers(operator: Operator, width: int) -> None:
    """Declares a step's output: numbers of the width of its inputs, shape ``(n, width)``."""
    rows = operator.inputs[0].get_first_dimension()
    tensor = DoubleTensorType if number_element(operator) == TensorProto.DOUBLE else FloatTensorType
    operator.outputs[0].type = tensor([rows, width])


def count_edges(graph: Graph, values: str, edges: npt.NDArray[np.float64]) -> str:
    """Counts for each value, shape ``(n, features)``, the edges of its feature that it is not below."""
    reached = graph.node("GreaterOrEqual", graph.node("Unsqueeze", values, graph.constant([2])), graph.constant(edges))
    counted = graph.node("Cast", reached, to=TensorProto.INT64)
    return graph.node("ReduceSum", counted, graph.constant([2]), keepdims=0)


def show_codes(graph: Graph, codes: str, shown: Sequence[Sequence[int]]) -> str:
    """Makes a column of 0 and 1, as doubles, of each code that is to be shown of each feature."""
    features = [feature for feature, of_feature in enumerate(shown) for _ in of_feature]
    of_columns = graph.node("Gather", codes, graph.constant(features), axis=1)
    is_code = graph.node("Equal", of_columns, graph.constant([code for of_feature in shown for code in of_feature]))
    return graph.node("Cast", is_code, to=TensorProto.DOUBLE)
