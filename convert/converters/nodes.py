"""Writes nodes and constants of an ONNX graph, the building blocks of all converters."""

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
"""The type in which an array of each kind is written: the widest."""

ML_VERSION = 3
"""Version of the ai.onnx.ml operators. skl2onnx supports none above, and would choose the newest."""


@attrs.frozen(eq=False)
class Graph:
    """A graph being written; each value gets a unique name.

    Attributes:
        scope: The source of unique names.
        container: Takes the constants, and the nodes of the outermost graph.
        inner: The nodes of a loop's body or a branch; None in the outermost graph.
        constants: The names of the outermost graph's constants, so that equal constants are stored once.
    """

    scope: Scope
    container: ModelComponentContainer
    inner: list[NodeProto] | None = None
    constants: dict[tuple[str, tuple[int, ...], bytes], str] = attrs.field(factory=dict)

    def constant(self, values: Any) -> str:
        """Adds an array as float64, int64, bool or text, and returns its name."""
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
        """Adds a node with one output, and returns the output's name."""
        (output,) = self.nodes(operator, *inputs, outputs=1, domain=domain, **attributes)
        return output

    def nodes(self, operator: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """Adds a node with several outputs, and returns their names."""
        names = [self.name(operator.lower()) for _ in range(outputs)]
        if self.inner is None:
            version = ML_VERSION if domain else None
            self.container.add_node(operator, list(inputs), names, domain, version, **attributes)
        else:
            self.inner.append(helper.make_node(operator, list(inputs), names, domain=domain, **attributes))
        return names

    def output(self, value: str, output: str, element: int | None = None) -> None:
        """Writes a value to one of the operator's outputs, cast to an element type if one is given."""
        if element is None:
            self.container.add_node("Identity", [value], [output])
        else:
            self.container.add_node("Cast", [value], [output], to=element)

    def name(self, stem: str) -> str:
        """Returns a name that no other value has."""
        unique: str = self.scope.get_unique_variable_name(stem)
        return unique

    def body(self) -> "Graph":
        """Returns a graph for a loop's body or a branch; it may use the values of this graph."""
        return attrs.evolve(self, inner=[])

    def written(self) -> list[NodeProto]:
        """Returns the nodes of a loop's body or a branch."""
        return self.inner or []


def read_doubles(graph: Graph, operator: Operator) -> str:
    """Concatenates an operator's inputs as float64, the type in which scikit-learn computes."""
    columns = [
        variable.full_name
        if isinstance(variable.type, DoubleTensorType)
        else graph.node("Cast", variable.full_name, to=TensorProto.DOUBLE)
        for variable in operator.inputs
    ]
    return columns[0] if len(columns) == 1 else graph.node("Concat", *columns, axis=1)


def number_element(operator: Operator) -> int:
    """Returns the element type of an operator's numeric outputs: double if its input is double, float otherwise."""
    double: int = TensorProto.DOUBLE
    return double if guess_proto_type(operator.inputs[0].type) == double else TensorProto.FLOAT


def add_in_order(graph: Graph, terms: Sequence[str]) -> str:
    """Adds terms from the first to the last, so that the sum is rounded as that of a loop."""
    total, *others = terms
    for term in others:
        total = graph.node("Add", total, term)
    return total


def write_label(graph: Graph, position: str, classes: npt.NDArray[Any], output: str) -> None:
    """Writes the label output: labels as text or int64, from class indices of shape ``(n,)``.

    Raises:
        ConvertError: If the classes are neither integers, booleans nor text.
    """
    if classes.dtype.kind in "biu":
        labels = classes.astype(np.int64)
    elif all(isinstance(label, str) for label in classes.tolist()):
        labels = classes.astype(str)
    else:
        raise ConvertError(f"expected labels of integers, booleans or text, got {classes.tolist()[:3]}")
    graph.output(graph.node("Gather", graph.constant(labels), position), output)


def declare_numbers(operator: Operator, width: int) -> None:
    """Declares a transformer's output: numbers of the type of its inputs, shape ``(n, width)``."""
    rows = operator.inputs[0].get_first_dimension()
    tensor = DoubleTensorType if number_element(operator) == TensorProto.DOUBLE else FloatTensorType
    operator.outputs[0].type = tensor([rows, width])


def count_edges(graph: Graph, values: str, edges: npt.NDArray[np.float64]) -> str:
    """Counts, for each value of shape ``(n, features)``, the edges of its feature that are at most the value."""
    reached = graph.node("GreaterOrEqual", graph.node("Unsqueeze", values, graph.constant([2])), graph.constant(edges))
    counted = graph.node("Cast", reached, to=TensorProto.INT64)
    return graph.node("ReduceSum", counted, graph.constant([2]), keepdims=0)


def one_hot(graph: Graph, codes: str, encoded: Sequence[Sequence[int]]) -> str:
    """One-hot encodes codes of shape ``(n, features)`` as float64.

    Args:
        graph: The graph to write to.
        codes: The name of the codes.
        encoded: For each feature the codes that get a column.
    """
    features = [feature for feature, of_feature in enumerate(encoded) for _ in of_feature]
    of_columns = graph.node("Gather", codes, graph.constant(features), axis=1)
    is_code = graph.node("Equal", of_columns, graph.constant([code for of_feature in encoded for code in of_feature]))
    return graph.node("Cast", is_code, to=TensorProto.DOUBLE)
