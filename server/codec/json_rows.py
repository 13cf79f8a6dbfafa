"""The wire format of one model: bytes -> row, answer -> bytes; knows nothing of sessions or HTTP.

A well-formed row is decoded by one call of a msgspec decoder compiled from the signature. Only a body that this
refuses is looked at again, feature by feature, so that the error can name each one at fault.
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
        known_answers: The whole body that answers a row without probabilities, by label; none of a regressor.
    """

    def __init__(self, signature: Signature, model_name: str) -> None:
        """Compiles the decoders and the answers of every known label.

        Args:
            signature: The features to take and the labels to give.
            model_name: What answers give as ``model_name``.
        """
        features = signature.features
        self._labels = [label_text(label) for label in signature.labels]
        self._model_name = model_name
        self._colons = sum(1 + feature.name.count(":") for feature in features)
        self._explainer = Explainer(features)
        self._csv = CsvReader(features, self._explainer)
        self._missing = [feature.missing for feature in features]
        shape, to_values = _choose_shape(features)
        self._to_row = self._choose_finish(features, to_values)
        self._row = msgspec.json.Decoder(shape)
        self._rows = msgspec.json.Decoder(list[shape])  # type: ignore[valid-type]  # a type made at run time
        self.known_answers = {
            label: msgspec.json.encode({"output": label, "model_name": model_name}) for label in signature.labels
        }

    def decode_row(self, body: bytes) -> Row:
        """Reads one row: a JSON object with a value for each feature.

        Raises:
            MalformedBodyError: If the body is not JSON.
            InvalidRowError: If it is, but does not fit the signature.
        """
        try:
            row = self._to_row(self._row.decode(body))
        except UNREADABLE:
            raise self._explainer.explain_row(body) from None
        if body.count(b":") != self._colons or b"\\" in body:  # _may_repeat: its call would be a fifteenth of all this
            _refuse(repeated(body))
        return row

    def decode_rows(self, body: bytes, max_rows: int) -> list[Row]:
        """Reads a JSON array of rows.

        Raises:
            MalformedBodyError: If the body is not JSON.
            BodyTooLargeError: If there are more rows than that.
            InvalidRowError: If it is, but a row does not fit the signature; fields are named ``<index>.<feature>``.
        """
        try:
            shapes = self._rows.decode(body)
            if len(shapes) > max_rows:
                raise too_many(len(shapes), max_rows)
            rows = [self._to_row(shape) for shape in shapes]
        except UNREADABLE:
            raise self._explainer.explain_rows(body, max_rows, self._is_sound) from None
        if body.count(b":") != self._colons * len(rows) or b"\\" in body:
            _refuse(self._repeated_in_rows(body))
        return rows

    def decode_csv(self, body: bytes, max_rows: int) -> list[Row]:
        """Reads CSV with a header, as training reads a table: an empty cell and one such as NA are null.

        Raises:
            MalformedBodyError: If the body is no table.
            BodyTooLargeError: If it has more rows than that; their cells are not read.
            InvalidRowError: If it does not fit the signature; fields are named ``<index>.<feature>``.
        """
        return self._csv.read(body, max_rows)

    def encode_answer(self, answer: Answer, *, probabilities: bool) -> bytes:
        """Writes ``{"output", "model_name"}``, with ``probabilities`` by label where they are asked for."""
        if not probabilities and self.known_answers:
            return self.known_answers[answer.label]
        body: dict[str, Any] = {"output": answer.label, "model_name": self._model_name}
        if probabilities and self._labels:
            body["probabilities"] = self._by_label(answer)
        return msgspec.json.encode(body)

    def encode_answers(self, answers: Sequence[Answer], *, probabilities: bool) -> bytes:
        """Writes ``{"outputs", "model_name"}`` in the order of the rows, with ``probabilities`` a row where asked."""
        body: dict[str, Any] = {"outputs": [answer.label for answer in answers], "model_name": self._model_name}
        if probabilities and self._labels:
            body["probabilities"] = [self._by_label(answer) for answer in answers]
        return msgspec.json.encode(body)

    def _choose_finish(
        self, features: Sequence[Feature], to_values: Callable[[Any], tuple[Any, ...]]
    ) -> Callable[[Any], Row]:
        """Gives what makes a row of a decoded shape; where every value is a number that is given, nothing is to do."""
        if not any(feature.nullable for feature in features):
            return to_values

        def finish(shape: Any) -> Row:
            values = to_values(shape)
            if None in values:
                pairs = zip(values, self._missing, strict=True)
                values = tuple([missing if value is None else value for value, missing in pairs])
            return values

        return finish

    def _is_sound(self, row: bytes) -> bool:
        try:
            self._to_row(self._row.decode(row))
        except UNREADABLE:
            return False
        return not self._may_repeat(row)

    def _may_repeat(self, row: bytes) -> bool:
        """Says whether a row that was decoded may give a feature twice, of which msgspec takes the last in silence.

        Each feature once is as many colons as there are in the names and one more for each; an escaped colon would
        not be counted, so a row with a backslash is looked at as well. Colons in text cost no more than that look.
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
    """Gives a label as the name of a JSON object's field."""
    return label if isinstance(label, str) else msgspec.json.encode(label).decode()


def _choose_shape(features: Sequence[Feature]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Gives what a row is decoded as, and what makes values in the features' order of that.

    A struct is the fastest; its names cannot have quotes, backslashes or control characters, a dictionary's can.
    """
    if not any(_UNFIT_FOR_STRUCT.search(feature.name) for feature in features):
        return _row_struct(features), msgspec.structs.astuple
    decoders = {feature.name: msgspec.json.Decoder(value_type(feature)) for feature in features}

    def order(fields: dict[str, msgspec.Raw]) -> tuple[Any, ...]:
        if fields.keys() != decoders.keys():
            raise msgspec.ValidationError
        return tuple(decoder.decode(fields[name]) for name, decoder in decoders.items())

    return dict[str, msgspec.Raw], order


def _row_struct(features: Sequence[Feature]) -> type[msgspec.Struct]:
    """Makes the struct type of a row; feature names need not be identifiers, so its fields are numbered."""
    return msgspec.defstruct(
        "Row",
        [(f"f{index}", value_type(feature)) for index, feature in enumerate(features)],
        rename={f"f{index}": feature.name for index, feature in enumerate(features)},
        forbid_unknown_fields=True,
        frozen=True,
        gc=False,
    )


def _refuse(faults: dict[str, str]) -> None:
    if faults:
        raise invalid(faults, "features are repeated")
