"""What a compiled model takes and gives: features -> inputs -> outputs, in Open Inference Protocol terms.

Plain facts, read from a manifest; this file knows nothing of onnxruntime, JSON or HTTP.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import attrs

from server.contract.types import Type

Datatype = Literal["FP32", "FP64", "INT64", "BOOL", "BYTES"]
Label = str | int | bool | float
"""What a model says of a row: a class (text, a whole number or a boolean), or a number where it is a regressor's."""
Value = float | bool | str
Row = tuple[Value, ...]
"""One record: a value for each feature, in the signature's order.

Text for a category, "" where it is missing; a number for anything else (True is 1), NaN where it is missing.
"""

NUMBERS, CATEGORIES = "numbers", "categories"
"""The inputs of a compiled model: one tensor for all features that are numbers, and one for those that are not."""
QUANTILES = 5
_INPUT_DATATYPES: Mapping[str, tuple[Datatype, ...]] = {NUMBERS: ("FP32", "FP64"), CATEGORIES: ("BYTES",)}


@attrs.frozen
class Tensor:
    """One input or output of the compiled model.

    Attributes:
        name: Its name in the ONNX graph.
        datatype: Its Open Inference Protocol datatype.
        shape: Its dimensions; -1 stands for any size, and the first is always the rows of a batch.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]


@attrs.frozen
class Feature:
    """One column that a model takes, as training saw it.

    Attributes:
        name: Its name in the table, and so in a request.
        type: What a request must send for it.
        nullable: Whether null is an allowed value: whether training saw rows without one.
        quantiles: The smallest value, the quartiles and the largest, in the column's own unit; none of a category.
        vocabulary: A category's values in order; none of anything else.
    """

    name: str
    type: Type
    nullable: bool
    quantiles: tuple[float, ...] = ()
    vocabulary: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Makes sure that the facts agree with each other."""
        if self.type == "category":
            if not self.vocabulary or self.quantiles or "" in self.vocabulary:
                raise ValueError(f"expected a vocabulary, without an empty text, of {self.name!r}, got {self}")
        elif len(self.quantiles) != QUANTILES or self.vocabulary or list(self.quantiles) != sorted(self.quantiles):
            raise ValueError(f"expected {QUANTILES} rising quantiles of {self.name!r}, got {self}")

    @property
    def missing(self) -> Value:
        """What stands in a row for no value."""
        return "" if self.type == "category" else math.nan


@attrs.frozen
class Signature:
    """The ordered inputs and outputs of a compiled model, and the features and labels that they stand for.

    Attributes:
        inputs: ``numbers``, FP32 or FP64 ``[-1, n]``, its columns the features that are no categories, in their order;
            and ``categories``, BYTES ``[-1, n]``, likewise; one that would have no column is not there.
        outputs: A classifier's label tensor ``[-1]`` and probability tensor ``[-1, len(labels)]``, in this order; a
            regressor's value tensor ``[-1, 1]``.
        features: The columns of a row.
        labels: The classes, in the order of the probability tensor's columns; none of a regressor.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: tuple[Feature, ...] = attrs.field(validator=attrs.validators.min_len(1))
    labels: tuple[Label, ...]

    def __attrs_post_init__(self) -> None:
        """Makes sure that the facts agree with each other."""
        names = [feature.name for feature in self.features]
        for what, values in (("features", names), ("labels", self.labels)):
            if len(set(values)) != len(values):
                raise ValueError(f"expected {what} that differ, got {values}")
        if len(self.labels) == 1:
            raise ValueError(f"expected two labels or more, or none, got {self.labels}")
        for tensor in self.inputs:
            if tensor.datatype not in _INPUT_DATATYPES.get(tensor.name, ()):
                raise ValueError(f"expected inputs of {dict(_INPUT_DATATYPES)}, got {tensor}")
        expected = [*self._input_shapes(), *([(-1,), (-1, len(self.labels))] if self.labels else [(-1, 1)])]
        shapes = [tensor.shape for tensor in (*self.inputs, *self.outputs)]
        if shapes != expected:
            raise ValueError(f"expected the shapes {expected}, got {shapes}")

    @property
    def is_regressor(self) -> bool:
        """Whether the model answers with numbers, not with labels."""
        return not self.labels

    @property
    def answer_width(self) -> int:
        """How many numbers an answer has: a probability for each label, or a regressor's one."""
        return len(self.labels) or 1

    def _input_shapes(self) -> list[tuple[int, int]]:
        categories = sum(feature.type == "category" for feature in self.features)
        counts = (len(self.features) - categories, categories)
        return [(-1, count) for count in counts if count]


class Answer(NamedTuple):
    """What the model says of one row; a tuple, since one is made for every row that is answered.

    Attributes:
        label: The class it predicts; a regressor's number.
        probabilities: A probability for each label, in the signature's order; none of a regressor.
    """

    label: Label
    probabilities: Sequence[float]
