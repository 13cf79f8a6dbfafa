"""The signature of a compiled model: its features, inputs, outputs and labels, in Open Inference Protocol terms."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import attrs

from server.contract.types import Type

Datatype = Literal["FP32", "FP64", "INT64", "BOOL", "BYTES"]
Label = str | int | bool | float
"""The prediction for a row: a class (text, an integer or a boolean), or the number of a regressor."""
Value = float | bool | str
Row = tuple[Value, ...]
"""One record: a value for each feature, in the signature's order.

A category is text, "" if missing. Any other feature is a number (True is 1), NaN if missing.
"""

NUMBERS, CATEGORIES = "numbers", "categories"
"""The inputs of a compiled model: one tensor for all features that are numbers, and one for the categories."""
QUANTILES = 5
_INPUT_DATATYPES: Mapping[str, tuple[Datatype, ...]] = {NUMBERS: ("FP32", "FP64"), CATEGORIES: ("BYTES",)}


@attrs.frozen
class Tensor:
    """One input or output of the compiled model.

    Attributes:
        name: The name in the ONNX graph.
        datatype: The Open Inference Protocol datatype.
        shape: The dimensions; -1 is any size, and the first dimension is always the rows of a batch.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]


@attrs.frozen
class Feature:
    """One input column of a model, as training saw it.

    Attributes:
        name: The name of the column in the table, and of the field in a request.
        type: The type that its values in a request must have.
        nullable: True if null is allowed, because training saw rows without a value.
        quantiles: The minimum, the quartiles and the maximum, in the unit of the column; empty for a category.
        vocabulary: The values of a category, in order; empty for other types.
    """

    name: str
    type: Type
    nullable: bool
    quantiles: tuple[float, ...] = ()
    vocabulary: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Check that the facts are consistent."""
        if self.type == "category":
            if not self.vocabulary or self.quantiles or "" in self.vocabulary:
                raise ValueError(f"expected a vocabulary, without an empty text, of {self.name!r}, got {self}")
        elif len(self.quantiles) != QUANTILES or self.vocabulary or list(self.quantiles) != sorted(self.quantiles):
            raise ValueError(f"expected {QUANTILES} rising quantiles of {self.name!r}, got {self}")

    @property
    def missing(self) -> Value:
        """The value that a row has if the feature is missing."""
        return "" if self.type == "category" else math.nan


@attrs.frozen
class Signature:
    """The ordered inputs and outputs of a compiled model, and the features and labels that they stand for.

    Attributes:
        inputs: ``numbers``, FP32 or FP64 ``[-1, n]``, has a column for each feature that is not a category, in order.
            ``categories``, BYTES ``[-1, n]``, has one for each category. An input without columns is left out.
        outputs: The label tensor ``[-1]`` and the probability tensor ``[-1, len(labels)]`` of a classifier, in this
            order; or the value tensor ``[-1, 1]`` of a regressor.
        features: The columns of a row.
        labels: The classes, in the order of the columns of the probability tensor; empty for a regressor.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: tuple[Feature, ...] = attrs.field(validator=attrs.validators.min_len(1))
    labels: tuple[Label, ...]

    def __attrs_post_init__(self) -> None:
        """Check that the facts are consistent."""
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
        """True if the model predicts numbers, not labels."""
        return not self.labels

    @property
    def answer_width(self) -> int:
        """Number of numbers in an answer: a probability for each label, or one for a regressor."""
        return len(self.labels) or 1

    def _input_shapes(self) -> list[tuple[int, int]]:
        categories = sum(feature.type == "category" for feature in self.features)
        counts = (len(self.features) - categories, categories)
        return [(-1, count) for count in counts if count]


class Answer(NamedTuple):
    """The prediction for one row; a tuple, since that is fastest to make for every row.

    Attributes:
        label: The predicted class, or the number of a regressor.
        probabilities: A probability for each label, in the signature's order; empty for a regressor.
    """

    label: Label
    probabilities: Sequence[float]
