"""Explains why a body was refused: builds the error that names each feature at fault.

It decodes the body again, feature by feature. It is slow, and runs for refused bodies only.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from server.contract.signature import Feature
from server.contract.values import expected_value, value_type
from server.errors import BodyTooLargeError, InvalidRowError, MalformedBodyError

MAX_FAULTS = 20
"""Maximum number of faults that one error names."""
MAX_ECHO_CHARS = 64
"""Maximum number of characters of a client's own text that an error repeats."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_read_names = json.JSONDecoder(object_pairs_hook=lambda pairs: [name for name, _ in pairs], parse_int=len).decode
_Fields = dict[str, msgspec.Raw]
_KINDS = {"{": "an object", "[": "an array", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null"}
_EMPTY = '""'
_TEXTS = frozenset({"a string", _EMPTY})
_MISMATCH = "the row does not fit the model's signature"


class Explainer:
    """Explains what is wrong with bodies that the codec of one model refused."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = {feature.name: feature for feature in features}

    def explain_row(self, body: bytes) -> MalformedBodyError | InvalidRowError:
        """Return the error for a body that is not a valid row."""
        fields = _scan(body, _Fields)
        if isinstance(fields, MalformedBodyError):
            return fields
        if not isinstance(fields, dict):
            return InvalidRowError(f"expected a JSON object with a value for each feature, got {fields}", {})
        return invalid(repeated(body) | self._explain_fields(fields), _MISMATCH)

    def explain_rows(
        self, body: bytes, max_rows: int, is_valid: Callable[[bytes], bool]
    ) -> MalformedBodyError | BodyTooLargeError | InvalidRowError:
        """Return the error for a body that is not a valid array of rows.

        Args:
            body: The refused body.
            max_rows: Maximum number of rows in one request.
            is_valid: Returns True if a single row is valid; faster than explaining it.
        """
        elements = _scan(body, list[msgspec.Raw])
        if isinstance(elements, MalformedBodyError):
            return elements
        if not isinstance(elements, list):
            return InvalidRowError(f"expected a JSON array of rows, got {elements}", {})
        if len(elements) > max_rows:
            return too_many(len(elements), max_rows)
        faults: dict[str, str] = {}
        for index, element in enumerate(map(bytes, elements)):
            if not is_valid(element):
                faults |= self._explain_element(index, element)
            if len(faults) > MAX_FAULTS:
                break
        return invalid(faults, "rows do not fit the model's signature")

    def explain_names(self, names: Sequence[str]) -> dict[str, str]:
        """Return a fault for each feature that is missing, unknown or repeated, by name."""
        given = frozenset(names)
        missing = {
            name: f"missing: expected {expected_value(feature)}"
            for name, feature in self._features.items()
            if name not in given
        }
        unknown = {clip(name): "unknown feature" for name in names if name not in self._features}
        return missing | unknown | _repeated_names(names)

    def _explain_element(self, index: int, element: bytes) -> dict[str, str]:
        fields = _scan(element, _Fields)
        if isinstance(fields, dict):
            faults = repeated(element) | self._explain_fields(fields)
            return {f"{index}.{name}": fault for name, fault in faults.items()}
        return {str(index): f"expected an object, got {fields}"}

    def _explain_fields(self, fields: _Fields) -> dict[str, str]:
        names = self.explain_names(list(fields))
        wrong = {
            name: fault
            for name, feature in self._features.items()
            if name in fields and (fault := _explain_value(feature, fields[name]))
        }
        return names | wrong


def clip(text: str) -> str:
    """Return the text, cut to `MAX_ECHO_CHARS`."""
    return text if len(text) <= MAX_ECHO_CHARS else f"{text[:MAX_ECHO_CHARS]}..."


def invalid(faults: dict[str, str], message: str) -> InvalidRowError:
    """Return the error that names the first `MAX_FAULTS` faults."""
    if len(faults) <= MAX_FAULTS:
        return InvalidRowError(message, faults)
    first = dict(list(faults.items())[:MAX_FAULTS])
    return InvalidRowError(f"{message}; the first {MAX_FAULTS} faults are named", first)


def repeated(row: bytes) -> dict[str, str]:
    """Return a fault for each name that a JSON object has more than once; msgspec does not report these."""
    try:
        names = _read_names(row.decode())
    except RecursionError:  # nested too deep for json: such a value is a fault already
        return {}
    return _repeated_names(names)


def too_many(rows: int | str, max_rows: int) -> BodyTooLargeError:
    """Return the error for more rows than one request may have; `rows` is "more" where they were not counted."""
    return BodyTooLargeError(f"expected at most {max_rows} rows at once, got {rows}")


def _repeated_names(names: Sequence[str]) -> dict[str, str]:
    if len(frozenset(names)) == len(names):
        return {}
    return {clip(name): "given more than once" for name, count in Counter(names).items() if count > 1}


def _scan(body: bytes, shape: Any) -> Any:
    """Decode a refused body as ``shape``, with undecoded values.

    Returns:
        The decoded body. If it is JSON of another kind, a description of that kind. If it is not JSON, the error.
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


def _explain_value(feature: Feature, value: msgspec.Raw) -> str | None:
    try:
        msgspec.json.decode(value, type=value_type(feature))
    except UNREADABLE:
        kind = _kind(bytes(value))
        is_of_kind = kind in _TEXTS if feature.type == "category" else kind not in {*_KINDS.values(), _EMPTY}
        return f"expected {expected_value(feature, bounds=is_of_kind)}, got {kind}"
    return None


def _kind(value: bytes) -> str:
    text = value.decode("utf-8").strip()
    return _EMPTY if text == _EMPTY else _KINDS.get(text[0]) or clip(text)
