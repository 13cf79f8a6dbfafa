"""Replays the golden rows of a version on this host, and compares the answers with the estimator's."""

from collections.abc import Sequence

import attrs

from server.codec.json_rows import Codec
from server.contract.manifest import GoldenRow, Manifest
from server.contract.signature import Answer
from server.models.session import Session


@attrs.frozen
class Comparison:
    """The differences between the answers to the golden rows and the estimator's answers.

    Attributes:
        flips: Number of rows whose label differs.
        max_difference: The largest difference of a number; see `GoldenRow.difference`.
        first_mismatch: The index of the first row that differs by more than the tolerance, or None.
    """

    flips: int
    max_difference: float
    first_mismatch: int | None


@attrs.frozen
class Replay:
    """The result of a replay.

    Attributes:
        rows: Number of golden rows.
        alone: The comparison with each row in a batch of its own.
        together: The comparison with all rows in one batch.
    """

    rows: int
    alone: Comparison
    together: Comparison


def replay(manifest: Manifest, codec: Codec, session: Session) -> Replay:
    """Answer the golden rows as requests, from bytes on. This also warms up the session.

    Raises:
        CorollaError: If a row cannot be answered at all.
    """
    golden, tolerance = manifest.golden, manifest.parity.tolerance
    rows = [codec.decode_row(known.to_request()) for known in golden]
    alone = [answer for row in rows for answer in session.run([row])]
    return Replay(
        rows=len(rows),
        alone=_compare(golden, alone, tolerance),
        together=_compare(golden, session.run(rows), tolerance),
    )


def _compare(golden: Sequence[GoldenRow], answers: Sequence[Answer], tolerance: float) -> Comparison:
    differences = [known.difference(answer) for known, answer in zip(golden, answers, strict=True)]
    flipped = [known.is_flipped(answer) for known, answer in zip(golden, answers, strict=True)]
    mismatches = (
        index
        for index, (difference, is_flipped) in enumerate(zip(differences, flipped, strict=True))
        if is_flipped or not difference <= tolerance
    )
    return Comparison(sum(flipped), max(differences), next(mismatches, None))
