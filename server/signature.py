"""What a compiled model takes and gives: features -> inputs -> outputs, in Open Inference Protocol terms.

Plain facts, read from a manifest; this file knows nothing of onnxruntime, JSON or HTTP.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import attrs

Datatype = Literal["FP32", "INT64", "BYTES"]
Label = str | int
Row = tuple[float, ...]
"""One record: a float for each feature, in the signature's order."""

MAX_FP32 = 3.4028234663852886e38
"""The largest finite FP32 (IEEE 754 binary32): a number beyond it would reach the model as infinity."""


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
    """One column that a model takes.

    Attributes:
        name: Its name in the table, and so in a request.
        type: What a request must send for it.
        nullable: Whether null is an allowed value.
        minimum: The smallest value seen in training, in the column's own unit.
        maximum: The largest value seen in training, in the column's own unit.
    """

    name: str
    type: Literal["number"]
    nullable: bool
    minimum: float
    maximum: float


@attrs.frozen
class Signature:
    """The ordered inputs and outputs of a compiled model, and the features and labels that they stand for.

    Attributes:
        inputs: One FP32 tensor ``[-1, len(features)]``, its columns in the order of ``features``.
        outputs: The label tensor ``[-1]`` and the FP32 probability tensor ``[-1, len(labels)]``, in this order.
        features: The columns of a row.
        labels: The classes, in the order of the probability tensor's columns.
    """

    inputs: tuple[Tensor, ...] = attrs.field(validator=[attrs.validators.min_len(1), attrs.validators.max_len(1)])
    outputs: tuple[Tensor, ...] = attrs.field(validator=[attrs.validators.min_len(2), attrs.validators.max_len(2)])
    features: tuple[Feature, ...] = attrs.field(validator=attrs.validators.min_len(1))
    labels: tuple[Label, ...] = attrs.field(validator=attrs.validators.min_len(2))

    def __attrs_post_init__(self) -> None:
        """Makes sure that the facts agree with each other."""
        names = [feature.name for feature in self.features]
        for what, values in (("features", names), ("labels", self.labels)):
            if len(set(values)) != len(values):
                raise ValueError(f"expected {what} that differ, got {values}")
        shapes = [tensor.shape for tensor in (*self.inputs, *self.outputs)]
        expected = [(-1, len(names)), (-1,), (-1, len(self.labels))]
        if shapes != expected:
            raise ValueError(f"expected the shapes {expected}, got {shapes}")


class Answer(NamedTuple):
    """What the model says of one row; a tuple, since one is made for every row that is answered.

    Attributes:
        label: The class it predicts.
        probabilities: A probability for each label, in the signature's order.
    """

    label: Label
    probabilities: Sequence[float]
