"""The wire format of one model: decodes request bodies to rows, and encodes answers to response bodies.

One call of a msgspec decoder, compiled from the signature, decodes a well-formed row. If it refuses a body, `faults`
decodes the body again, feature by feature, so that the error can name each one at fault.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from server.codec.csv_rows import CsvReader
from server.codec.faults import MAX_FAULTS, UNREADABLE, Explainer, invalid, repeated, too_many
from server.contract.signature import Answer, Feature, Label, Row, Signature
from server.contract.values import value_type

_UNFIT_FOR_STRUCT = re.compile(r'[\\"\x00-\x1f]')


class Codec:
    """Decodes the requests and encodes the answers of one model.

    Attributes:
        known_answers: The encoded response to one row without probabilities, by label; empty for a regressor.
    """

    def __init__(self, signature: Signature, model_name: str) -> None:
        """Compile the decoders, and encode the response for each label.

        Args:
            signature: The features of a row and the labels of an answer.
            model_name: The value of ``model_name`` in responses.
        """
        features = signature.features
        self._labels = [label_text(label) for label in signature.labels]
        self._model_name = model_name
        self._colons = sum(1 + feature.name.count(":") for feature in features)
        self._explainer = Explainer(features)
        self._csv = CsvReader(features, self._explainer)
        self._missing = [feature.missing for feature in features]
        shape, to_values = _choose_shape(features)
        self._to_row = self._choose_to_row(features, to_values)
        self._row = msgspec.json.Decoder(shape)
        self._rows = msgspec.json.Decoder(list[shape])  # type: ignore[valid-type]  # a type made at run time
        self.known_answers = {
            label: msgspec.json.encode({"output": label, "model_name": model_name}) for label in signature.labels
        }

    def decode_row(self, body: bytes) -> Row:
        """Decode one row: a JSON object with a value for each feature.

        Raises:
            MalformedBodyError: If the body is not JSON.
            InvalidRowError: If the row does not fit the signature.
        """
        try:
            row = self._to_row(self._row.decode(body))
        except UNREADABLE:
            raise self._explainer.explain_row(body) from None
        if body.count(b":") != self._colons or b"\\" in body:  # _may_repeat, inlined: a call takes 1/15 of decode_row
            _raise_if_any(repeated(body))
        return row

    def decode_rows(self, body: bytes, max_rows: int) -> list[Row]:
        """Decode a JSON array of rows.

        Raises:
            MalformedBodyError: If the body is not JSON.
            BodyTooLargeError: If there are more than `max_rows` rows.
            InvalidRowError: If a row does not fit the signature; its fields are named ``<index>.<feature>``.
        """
        try:
            shapes = self._rows.decode(body)
            if len(shapes) > max_rows:
                raise too_many(len(shapes), max_rows)
            rows = [self._to_row(shape) for shape in shapes]
        except UNREADABLE:
            raise self._explainer.explain_rows(body, max_rows, self._is_valid) from None
        if body.count(b":") != self._colons * len(rows) or b"\\" in body:
            _raise_if_any(self._repeated_in_rows(body))
        return rows

    def decode_csv(self, body: bytes, max_rows: int) -> list[Row]:
        """Decode CSV with a header, as training reads a table: an empty cell, or one such as NA, is null.

        Raises:
            MalformedBodyError: If the body is not CSV.
            BodyTooLargeError: If there are more than `max_rows` rows; no cell is parsed then.
            InvalidRowError: If a row does not fit the signature; its fields are named ``<index>.<feature>``.
        """
        return self._csv.read(body, max_rows)

    def encode_answer(self, answer: Answer, *, probabilities: bool) -> bytes:
        """Encode one answer as ``{"output", "model_name"}``, with ``probabilities`` by label if asked for."""
        if not probabilities and self.known_answers:
            return self.known_answers[answer.label]
        body: dict[str, Any] = {"output": answer.label, "model_name": self._model_name}
        if probabilities and self._labels:
            body["probabilities"] = self._by_label(answer)
        return msgspec.json.encode(body)

    def encode_answers(self, answers: Sequence[Answer], *, probabilities: bool) -> bytes:
        """Encode answers as ``{"outputs", "model_name"}``, with ``probabilities`` if asked for; all in order."""
        body: dict[str, Any] = {"outputs": [answer.label for answer in answers], "model_name": self._model_name}
        if probabilities and self._labels:
            body["probabilities"] = [self._by_label(answer) for answer in answers]
        return msgspec.json.encode(body)

    def _choose_to_row(
        self, features: Sequence[Feature], to_values: Callable[[Any], tuple[Any, ...]]
    ) -> Callable[[Any], Row]:
        """Return the function from a decoded shape to a row; it replaces nulls if a feature is nullable."""
        if not any(feature.nullable for feature in features):
            return to_values

        def to_row(shape: Any) -> Row:
            values = to_values(shape)
            if None in values:
                pairs = zip(values, self._missing, strict=True)
                values = tuple([missing if value is None else value for value, missing in pairs])
            return values

        return to_row

    def _is_valid(self, row: bytes) -> bool:
        try:
            self._to_row(self._row.decode(row))
        except UNREADABLE:
            return False
        return not self._may_repeat(row)

    def _may_repeat(self, row: bytes) -> bool:
        """Return True if a decoded row may have a feature twice, of which msgspec silently takes the last.

        A row with each feature once has one colon for each feature, and those in the names. An escaped colon is not
        counted, so a row with a backslash may repeat too. Colons in text cost no more than the closer check.
        """
        return row.count(b":") != self._colons or b"\\" in row

    def _repeated_in_rows(self, body: bytes) -> dict[str, str]:
        faults: dict[str, str] = {}
        for index, element in enumerate(msgspec.json.decode(body, type=list[msgspec.Raw])):
            row = bytes(element)
            if self._may_repeat(row):
                faults |= {f"{index}.{name}": fault for name, fault in repeated(row).items()}
            if len(faults) > MAX_FAULTS:
                break
        return faults

    def _by_label(self, answer: Answer) -> dict[str, float]:
        return dict(zip(self._labels, answer.probabilities, strict=True))


def label_text(label: Label) -> str:
    """Return a label as the name of a field of a JSON object."""
    return label if isinstance(label, str) else msgspec.json.encode(label).decode()


def _choose_shape(features: Sequence[Feature]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Choose the type that a row is decoded as, and the function from it to values in the order of the features.

    A struct is fastest, but its names cannot have quotes, backslashes or control characters; keys of a dictionary can.
    """
    if not any(_UNFIT_FOR_STRUCT.search(feature.name) for feature in features):
        return _row_struct(features), msgspec.structs.astuple
    decoders = {feature.name: msgspec.json.Decoder(value_type(feature)) for feature in features}

    def to_values(fields: dict[str, msgspec.Raw]) -> tuple[Any, ...]:
        if fields.keys() != decoders.keys():
            raise msgspec.ValidationError
        return tuple(decoder.decode(fields[name]) for name, decoder in decoders.items())

    return dict[str, msgspec.Raw], to_values


def _row_struct(features: Sequence[Feature]) -> type[msgspec.Struct]:
    """Define the struct type of a row. Its fields are numbered, since feature names need not be identifiers."""
    return msgspec.defstruct(
        "Row",
        [(f"f{index}", value_type(feature)) for index, feature in enumerate(features)],
        rename={f"f{index}": feature.name for index, feature in enumerate(features)},
        forbid_unknown_fields=True,
        frozen=True,
        gc=False,
    )


def _raise_if_any(faults: dict[str, str]) -> None:
    if faults:
        raise invalid(faults, "features are repeated")
