"""Replays a version's golden rows on this host and holds the answers against the estimator's own."""

from collections.abc import Sequence

import attrs

from server.codec.json_rows import Codec
from server.contract.manifest import GoldenRow, Manifest
from server.contract.signature import Answer
from server.models.session import Session


@attrs.frozen
class Comparison:
    """How the answers to the golden rows compare with the estimator's.

    Attributes:
        flips: On how many rows the label differs.
        max_difference: The largest difference of a number; see `GoldenRow.difference`.
        first_off: The index of the first row that differs by more than the tolerance; None where none does.
    """

    flips: int
    max_difference: float
    first_off: int | None


@attrs.frozen
class Replay:
    """What a replay found.

    Attributes:
        rows: How many golden rows there are.
        alone: Each row in a batch of its own.
        together: All rows in one batch.
    """

    rows: int
    alone: Comparison
    together: Comparison


def replay(manifest: Manifest, codec: Codec, session: Session) -> Replay:
    """Answer the golden rows from their bytes, as requests would be; this also warms the session.

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
    off = (
        index
        for index, (difference, is_flipped) in enumerate(zip(differences, flipped, strict=True))
        if is_flipped or not difference <= tolerance
    )
    return Comparison(sum(flipped), max(differences), next(off, None))
