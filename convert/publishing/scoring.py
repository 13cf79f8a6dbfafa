"""Held-out rows -> how well a compiled model answers them, as a server would: what that refuses is answered wrong."""

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
    """How well rows are answered.

    Attributes:
        value: The share of them that is answered right (0 to 1); of a regressor its R², where the mean of what is known
            stands for an answer that it does not give.
        recalls: Of each class that they have, the share of its rows that is answered right; none of a regressor.
    """

    value: float
    recalls: tuple[tuple[Label, float], ...]


def to_requests(rows: pd.DataFrame, features: Sequence[Feature]) -> list[bytes]:
    """Gives rows as clients would send them.

    Args:
        rows: One column a feature.
        features: What they are, in the columns' order.
    """
    return [msgspec.json.encode(to_fields(row, features)) for row in to_rows(rows)]


def score(signature: Signature, session: Session, requests: Sequence[bytes], target: pd.Series) -> Score:
    """Answers requests and holds the answers against what is known.

    Args:
        signature: What the model takes and gives.
        session: The compiled model.
        requests: n rows as JSON.
        target: What they are: n labels or numbers.
    """
    answers = _ask(signature, session, requests)
    if signature.is_regressor:
        given = np.where(answers.is_answered, answers.numbers[:, 0], target.mean())
        return Score(float(r2_score(target, given)), ())
    known = np.array(target.tolist(), dtype=object)
    is_right = answers.is_answered & (answers.labels == known)
    recalls = tuple((label, float(is_right[known == label].mean())) for label in sorted(set(known.tolist())))
    return Score(float(is_right.mean()), recalls)


def _ask(signature: Signature, session: Session, requests: Sequence[bytes]) -> Answers:
    """Gives the answers, none where a row is refused."""
    codec = Codec(signature, "")
    rows = {place: row for place, request in enumerate(requests) if (row := _decode(codec, request))}
    labels = np.full(len(requests), None, dtype=object)
    numbers = np.full((len(requests), signature.answer_width), np.nan)
    # Raised where not one of them can be answered.
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
