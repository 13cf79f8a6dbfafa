"""Signatures of any features and labels, and rows that fit them: by hand, or drawn by hypothesis."""

import math
from collections.abc import Sequence
from typing import Any, get_args

from hypothesis import strategies as st

from server.codec.json_rows import Codec
from server.contract.signature import Datatype, Feature, Label, Signature, Tensor
from server.contract.types import MAX_FP32, MAX_INTEGER, MAX_TEXT_CHARS, Type

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
SAYABLE = {
    "number": st.floats(-MAX_FP32, MAX_FP32) | st.integers(-(2**70), 2**70),
    "integer": st.integers(-MAX_INTEGER, MAX_INTEGER),
    "boolean": st.booleans(),
    "category": TEXT | st.sampled_from([":", "\\", "\0", '"', "😀" * MAX_TEXT_CHARS, "a:b\\", "null", "1"]),
}
"""The values that a request may have for a feature of each type."""


MANY_ROWS = 65_536
"""The largest limit of a queue that a server has."""


def feature(name: str, kind: Type, *, nullable: bool = False) -> Feature:
    """Make a feature; the vocabulary of a category is blue and red."""
    if kind == "category":
        return Feature(name, kind, nullable, vocabulary=("blue", "red"))
    return Feature(name, kind, nullable, quantiles=(0, 0.25, 0.5, 0.75, 1))


def signature_of(
    features: Sequence[Feature], labels: tuple[Label, ...] = ("a", "b"), numbers: Datatype = "FP32"
) -> Signature:
    """Make a signature; the label tensor of a classifier is BYTES for text, and INT64 for integers and booleans."""
    categories = sum(one.type == "category" for one in features)
    inputs = (
        Tensor("numbers", numbers, (-1, len(features) - categories)),
        Tensor("categories", "BYTES", (-1, categories)),
    )
    outputs: tuple[Tensor, ...] = (Tensor("variable", numbers, (-1, 1)),)
    if labels:
        label = Tensor("label", "BYTES" if isinstance(labels[0], str) else "INT64", (-1,))
        outputs = (label, Tensor("probabilities", "FP32", (-1, len(labels))))
    return Signature(
        inputs=tuple(tensor for tensor in inputs if tensor.shape[1]),
        outputs=outputs,
        features=tuple(features),
        labels=labels,
    )


def codec_of(features: Sequence[Feature], labels: tuple[Label, ...] = ("a", "b")) -> Codec:
    return Codec(signature_of(features, labels), "model_1")


@st.composite
def features_of_any_type(draw: st.DrawFn) -> list[Feature]:
    names = draw(st.lists(TEXT, min_size=1, max_size=6, unique=True))
    kinds = st.sampled_from(get_args(Type))
    return [feature(name, draw(kinds), nullable=draw(st.booleans())) for name in names]


def fields_for(features: Sequence[Feature]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for rows as a client sends them."""
    return st.fixed_dictionaries(
        {one.name: SAYABLE[one.type] | st.none() if one.nullable else SAYABLE[one.type] for one in features}
    )


def as_read(fields: dict[str, Any], features: Sequence[Feature]) -> tuple[Any, ...]:
    """Return the values that a row of these fields must be decoded to, with None for NaN."""
    values = [fields[one.name] for one in features]
    return tuple(
        ("" if one.type == "category" else None) if value is None else float(value) if one.type == "number" else value
        for one, value in zip(features, values, strict=True)
    )


def comparable(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return a decoded row with None for NaN, since NaN does not equal itself."""
    return tuple(None if isinstance(value, float) and math.isnan(value) else value for value in row)
