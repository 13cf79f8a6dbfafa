"""The wire format of one model: bytes -> row, answer -> bytes; knows nothing of sessions or HTTP.

A well-formed row is decoded by one call of a msgspec decoder compiled from the signature. Only a body that this
refuses is looked at again, feature by feature, so that the error can name each one at fault.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from server.errors import InvalidRowError, MalformedBodyError
from server.signature import MAX_FP32, Answer, Feature, Row, Signature

MAX_FAULTS = 20
"""How many offending features one error names; the first 20 tell as much as the first 20,000."""
MAX_ECHO_CHARS = 64

_Number = Annotated[float, msgspec.Meta(ge=-MAX_FP32, le=MAX_FP32)]
_Fields = dict[str, msgspec.Raw]
_KINDS = {"{": "an object", "[": "an array", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null"}
_UNFIT_FOR_STRUCT = re.compile(r'[\\"\x00-\x1f]')
_REPEATED = "given more than once"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Codec:
    """Decodes the requests and encodes the answers of one model.

    Attributes:
        known_answers: The whole body that answers a row without probabilities, by label.
    """

    def __init__(self, signature: Signature, model_name: str) -> None:
        """Compiles the decoders and the answers of every known label.

        Args:
            signature: The features to take and the labels to give.
            model_name: What answers give as ``model_name``.
        """
        self._features = {feature.name: feature for feature in signature.features}
        self._labels = [str(label) for label in signature.labels]
        self._model_name = model_name
        self._colons = sum(1 + name.count(":") for name in self._features)
        shape, self._to_row = self._choose_shape(signature.features)
        self._row = msgspec.json.Decoder(shape)
        self._rows = msgspec.json.Decoder(list[shape])  # type: ignore[valid-type]  # a type made at run time
        self.known_answers = {
            label: msgspec.json.encode({"output": label, "model_name": model_name}) for label in signature.labels
        }

    def decode_row(self, body: bytes) -> Row:
        """Reads one row: a JSON object with a number for each feature.

        Raises:
            MalformedBodyError: If the body is not JSON.
            InvalidRowError: If it is, but does not fit the signature.
        """
        try:
            row = self._to_row(self._row.decode(body))
        except _UNREADABLE:
            raise self._explain_row(body) from None
        if body.count(b":") != self._colons or b"\\" in body:
            _refuse(_repeated(body))
        return row

    def decode_rows(self, body: bytes) -> list[Row]:
        """Reads a JSON array of rows.

        Raises:
            MalformedBodyError: If the body is not JSON.
            InvalidRowError: If it is, but a row does not fit the signature; fields are named ``<index>.<feature>``.
        """
        try:
            rows = [self._to_row(row) for row in self._rows.decode(body)]
        except _UNREADABLE:
            raise self._explain_rows(body) from None
        if body.count(b":") != self._colons * len(rows) or b"\\" in body:
            _refuse(self._repeated_in_rows(body))
        return rows

    def encode_answer(self, answer: Answer, *, probabilities: bool) -> bytes:
        """Writes ``{"output", "model_name"}``, with ``probabilities`` by label where they are asked for."""
        if not probabilities:
            return self.known_answers[answer.label]
        return msgspec.json.encode(
            {
                "output": answer.label,
                "model_name": self._model_name,
                "probabilities": self._by_label(answer),
            }
        )

    def encode_answers(self, answers: Sequence[Answer], *, probabilities: bool) -> bytes:
        """Writes ``{"outputs", "model_name"}`` in the order of the rows, with ``probabilities`` a row where asked."""
        body: dict[str, Any] = {"outputs": [answer.label for answer in answers], "model_name": self._model_name}
        if probabilities:
            body["probabilities"] = [self._by_label(answer) for answer in answers]
        return msgspec.json.encode(body)

    def _choose_shape(self, features: Sequence[Feature]) -> tuple[Any, Callable[[Any], Row]]:
        """Gives what a row is decoded as, and what makes a row of that.

        A struct is the fastest; its names cannot have quotes, backslashes or control characters, a dictionary's can.
        """
        if any(_UNFIT_FOR_STRUCT.search(feature.name) for feature in features):
            return dict[str, _Number], self._order
        return _row_struct(features), msgspec.structs.astuple

    def _order(self, fields: dict[str, float]) -> Row:
        if fields.keys() != self._features.keys():
            raise msgspec.ValidationError
        return tuple(fields[name] for name in self._features)

    def _may_repeat(self, row: bytes) -> bool:
        """Says whether a row that was decoded may give a feature twice, of which msgspec takes the last in silence.

        Each feature once is as many colons as there are in the names and one more for each; an escaped colon would
        not be counted, so a row with a backslash is looked at as well.
        """
        return row.count(b":") != self._colons or b"\\" in row

    def _repeated_in_rows(self, body: bytes) -> dict[str, str]:
        faults: dict[str, str] = {}
        for index, element in enumerate(msgspec.json.decode(body, type=list[msgspec.Raw])):
            row = bytes(element)
            if self._may_repeat(row):
                faults |= {f"{index}.{name}": fault for name, fault in _repeated(row).items()}
            if len(faults) > MAX_FAULTS:
                break
        return faults

    def _by_label(self, answer: Answer) -> dict[str, float]:
        return dict(zip(self._labels, answer.probabilities, strict=True))

    def _explain_row(self, body: bytes) -> MalformedBodyError | InvalidRowError:
        fields = _scan(body, _Fields)
        if isinstance(fields, MalformedBodyError):
            return fields
        if not isinstance(fields, dict):
            return InvalidRowError(f"expected a JSON object with a number for each feature, got {fields}", {})
        return _invalid(_repeated(body) | self._faults(fields), "the row does not fit the model's signature")

    def _explain_rows(self, body: bytes) -> MalformedBodyError | InvalidRowError:
        elements = _scan(body, list[msgspec.Raw])
        if isinstance(elements, MalformedBodyError):
            return elements
        if not isinstance(elements, list):
            return InvalidRowError(f"expected a JSON array of rows, got {elements}", {})
        faults: dict[str, str] = {}
        for index, element in enumerate(elements):
            faults |= self._faults_of_element(index, bytes(element))
            if len(faults) > MAX_FAULTS:
                break
        return _invalid(faults, "rows do not fit the model's signature")

    def _faults_of_element(self, index: int, element: bytes) -> dict[str, str]:
        fields = _scan(element, _Fields)
        if isinstance(fields, dict):
            faults = _repeated(element) | self._faults(fields)
            return {f"{index}.{name}": fault for name, fault in faults.items()}
        return {str(index): f"expected an object, got {fields}"}

    def _faults(self, fields: _Fields) -> dict[str, str]:
        missing = {name: "missing: expected a number" for name in self._features if name not in fields}
        wrong = {name: fault for name in self._features if name in fields and (fault := _number_fault(fields[name]))}
        unknown = {_clip(name): "unknown feature" for name in fields if name not in self._features}
        return missing | wrong | unknown


def _row_struct(features: Sequence[Feature]) -> type[msgspec.Struct]:
    """Makes the struct type of a row; feature names need not be identifiers, so its fields are numbered."""
    return msgspec.defstruct(
        "Row",
        [(f"f{index}", _Number) for index in range(len(features))],
        rename={f"f{index}": feature.name for index, feature in enumerate(features)},
        forbid_unknown_fields=True,
        frozen=True,
        gc=False,
    )


def _scan(body: bytes, shape: Any) -> Any:
    """Reads a refused body as ``shape``, values unread.

    Returns:
        The body as ``shape``; where it is JSON of another kind, that kind in words; where it is not JSON, the error.
    """
    try:
        body.decode("utf-8")
        msgspec.json.decode(body, type=msgspec.Raw)
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError:
        return _kind(body)
    except UnicodeDecodeError as error:
        return MalformedBodyError(f"the body is not UTF-8: {error.reason} at byte {error.start}")
    except RecursionError:
        return MalformedBodyError("the body is nested too deep to be read")
    except msgspec.DecodeError as error:
        return MalformedBodyError(f"the body is not JSON: {error}")


def _repeated(row: bytes) -> dict[str, str]:
    """Names the features that a row, a JSON object, gives more than once; msgspec would not tell, json does."""
    try:
        names = json.loads(row, object_pairs_hook=lambda pairs: [name for name, _ in pairs], parse_int=len)
    except RecursionError:  # nested as deep as msgspec reads, which is a fault of its own
        return {}
    return {_clip(name): _REPEATED for name, count in Counter(names).items() if count > 1}


def _refuse(faults: dict[str, str]) -> None:
    if faults:
        raise _invalid(faults, "features are repeated")


def _number_fault(value: msgspec.Raw) -> str | None:
    try:
        msgspec.json.decode(value, type=_Number)
    except _UNREADABLE:
        kind = _kind(bytes(value))
        within = f" within ±{MAX_FP32:.7e}" if kind not in _KINDS.values() else ""
        return f"expected a number{within}, got {kind}"
    return None


def _kind(value: bytes) -> str:
    text = value.decode("utf-8").strip()
    return _KINDS.get(text[0]) or _clip(text)


def _clip(text: str) -> str:
    return text if len(text) <= MAX_ECHO_CHARS else f"{text[:MAX_ECHO_CHARS]}..."


def _invalid(faults: dict[str, str], message: str) -> InvalidRowError:
    if len(faults) <= MAX_FAULTS:
        return InvalidRowError(message, faults)
    first = dict(list(faults.items())[:MAX_FAULTS])
    return InvalidRowError(f"{message}; the first {MAX_FAULTS} faults are named", first)
