"""Score a compiled model on held-out rows, sent as clients would send them: a row that is refused counts as wrong."""

from collections.abc import Sequence
from contextlib import suppress

import attrs
import msgspec
import numpy as np
import pandas as pd
from sklearn.metrics import r2_score

from convert.parity.answers import Answers, evaluate_session, to_rows
from convert.parity.requests import to_fields
from server.codec.json_rows import Codec
from server.contract.signature import Feature, Label, Row, Signature
from server.errors import CorollaError, SessionError
from server.models.session import Session


@attrs.frozen
class Score:
    """The score of a model on some rows.

    Attributes:
        value: The accuracy (0 to 1); of a regressor R², with the target's mean in place of missing answers.
        recalls: The recall of each class among the rows (0 to 1); empty for a regressor.
    """

    value: float
    recalls: tuple[tuple[Label, float], ...]


def to_requests(rows: pd.DataFrame, features: Sequence[Feature]) -> list[bytes]:
    """Return rows as the JSON bodies that clients would send.

    Args:
        rows: One column a feature.
        features: The features, in the columns' order.
    """
    return [msgspec.json.encode(to_fields(row, features)) for row in to_rows(rows)]


def score(signature: Signature, session: Session, requests: Sequence[bytes], target: pd.Series) -> Score:
    """Answer requests and compare the answers to the true labels or numbers.

    Args:
        signature: The model's inputs and outputs.
        session: The compiled model.
        requests: n rows as JSON.
        target: The n true labels or numbers.
    """
    answers = _answer(signature, session, requests)
    if signature.is_regressor:
        predicted = np.where(answers.is_answered, answers.numbers[:, 0], target.mean())
        return Score(float(r2_score(target, predicted)), ())
    known = np.array(target.tolist(), dtype=object)
    is_right = answers.is_answered & (answers.labels == known)
    recalls = tuple((label, float(is_right[known == label].mean())) for label in sorted(set(known.tolist())))
    return Score(float(is_right.mean()), recalls)


def _answer(signature: Signature, session: Session, requests: Sequence[bytes]) -> Answers:
    """Return the answers; a refused row has none."""
    codec = Codec(signature, "")
    rows = {index: row for index, request in enumerate(requests) if (row := _decode(codec, request))}
    labels = np.full(len(requests), None, dtype=object)
    numbers = np.full((len(requests), signature.answer_width), np.nan)
    # Raised if not a single row can be answered.
    with suppress(SessionError):
        if rows:
            given = evaluate_session(session, list(rows.values()), (1,), signature.answer_width)
            labels[list(rows)], numbers[list(rows)] = given.labels, given.numbers
    return Answers(labels, numbers)


def _decode(codec: Codec, request: bytes) -> Row | None:
    try:
        return codec.decode_row(request)
    except CorollaError:
        return None
