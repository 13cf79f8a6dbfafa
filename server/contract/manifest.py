"""The manifest of a version: its schema, reading and writing. Publisher and server share it."""

import math
from typing import Any, Literal

import attrs
import msgspec

from server.contract.names import name_fault
from server.contract.signature import Answer, Label, Signature
from server.errors import RefusedError

FORMAT = 2
MAX_TOLERANCE = 1e-3
"""The largest tolerance of a probability with which a server accepts a parity proof."""


def _check_name(_manifest: object, _field: object, name: str) -> None:
    if fault := name_fault(name):
        raise ValueError(fault)


@attrs.frozen
class Parity:
    """The figures of a parity proof: the estimator and the compiled model compared on the same rows.

    Attributes:
        rows: Number of compared rows.
        max_batch_rows: The size of the largest batch in the comparison.
        label_mismatches: Number of rows whose labels differ.
        mismatches: Number of rows whose labels differ, or a number by more than the tolerance.
        max_difference: The largest difference of a number. A probability's is absolute (0 to 1). A regressor's is
            relative to the number's size or to the spread of all answers, whichever is larger.
        tolerance: The largest difference that is not a mismatch.
        allowed_mismatches: Number of mismatches that the publisher accepted.
    """

    rows: int
    max_batch_rows: int
    label_mismatches: int
    mismatches: int
    max_difference: float
    tolerance: float
    allowed_mismatches: int = 0

    def __attrs_post_init__(self) -> None:
        """Check that the figures are consistent."""
        least, is_beyond = self.label_mismatches, self.max_difference > self.tolerance
        if not (max(least, 1) <= self.mismatches if is_beyond else least == self.mismatches):
            raise ValueError(f"expected figures that agree with each other, got {self}")

    @property
    def passed(self) -> bool:
        """True if at most `allowed_mismatches` rows differ."""
        return self.mismatches <= self.allowed_mismatches


@attrs.frozen
class GoldenRow:
    """A row with the estimator's answer. The server replays it on its host before it serves the version.

    Attributes:
        row: A value for each feature, by name; None for a missing one.
        output: The label or number that the estimator predicts.
        probabilities: The estimator's probabilities, in the order of the signature's labels; empty for a regressor.
        scale: The divisor of a difference of a regressor's number; 1 for probabilities.
    """

    row: dict[str, float | int | bool | str | None]
    output: Label
    probabilities: tuple[float, ...]
    scale: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))

    def is_flipped(self, answer: Answer) -> bool:
        """Return True if an answer has another label; always False for a regressor."""
        return bool(self.probabilities) and answer.label != self.output

    def difference(self, answer: Answer) -> float:
        """Return the largest difference of a number of an answer; infinity if one is NaN."""
        if self.probabilities:
            gaps = [abs(a - b) for a, b in zip(answer.probabilities, self.probabilities, strict=True)]
        else:
            gaps = [abs(float(answer.label) - float(self.output)) / self.scale]
        # max() can ignore a NaN.
        return math.inf if any(map(math.isnan, gaps)) else max(gaps)

    def to_request(self) -> bytes:
        """Return the row as the body of a client's request."""
        return msgspec.json.encode(self.row)


@attrs.frozen
class RunFacts:
    """The provenance of a model: the facts of its training run that a version keeps.

    Attributes:
        id: The number of the run in the run log.
        dataset: The name of the dataset.
        dataset_sha256: SHA-256 of the rows used, as the run keeps them.
        target: The column that the model predicts.
        estimator: The estimator's name, or ``module:function``.
        parameters: The parameters of the estimator.
        seed: The seed of the split.
        started_at: When the run began, UTC, ISO 8601.
        metric: The metric of the scores. ``accuracy`` is the fraction of rows with the right label (0 to 1); ``r2`` is
            the fraction of the target's variance that is explained (1 at most).
        train_score: The score on the training rows.
        test_score: The score on the held-out rows.
    """

    id: int
    dataset: str
    dataset_sha256: str
    target: str
    estimator: str
    parameters: dict[str, Any]
    seed: int
    started_at: str
    metric: Literal["accuracy", "r2"]
    train_score: float
    test_score: float


@attrs.frozen
class Manifest:
    """All facts about a version, as ``manifest.json`` has them.

    Attributes:
        format: The version of this schema.
        name: The name of the model, in the repository and in routes.
        version: The number of the version, and the name of its folder.
        model_name: The name of the trained estimator, as responses have it (``log_reg_1``).
        created_at: When the version was published, UTC, ISO 8601.
        files: SHA-256 (hex) of every other file that the server reads, by file name.
        signature: The inputs and outputs of the compiled model.
        run: The training run that the model comes from.
        tools: The versions of the tools that made it, by name.
        parity: The figures of the parity proof.
        golden: The rows to replay before serving.
    """

    format: int
    name: str = attrs.field(validator=_check_name)
    version: int = attrs.field(validator=attrs.validators.ge(1))
    model_name: str
    created_at: str
    files: dict[str, str]
    signature: Signature
    run: RunFacts
    tools: dict[str, str]
    parity: Parity
    golden: tuple[GoldenRow, ...] = attrs.field(validator=attrs.validators.min_len(1))

    def __attrs_post_init__(self) -> None:
        """Check that the facts are consistent."""
        labels = self.signature.labels
        if self.format != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {self.format}")
        if not self.parity.passed or self.parity.tolerance > MAX_TOLERANCE:
            raise ValueError(f"expected a parity that passed within {MAX_TOLERANCE}, got {self.parity}")
        for known in self.golden:
            is_known = known.output in labels if labels else type(known.output) in (int, float)
            if not is_known or len(known.probabilities) != len(labels):
                what = f"the labels {labels}" if labels else "numbers"
                raise ValueError(f"expected golden rows with {what}, got {known}")

    @classmethod
    def from_json(cls, data: bytes) -> "Manifest":
        """Decode a manifest.

        Raises:
            RefusedError: If the bytes are not a complete and consistent manifest of this format.
        """
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedError(f"manifest.json cannot be read: {error}") from error

    def to_json(self) -> bytes:
        """Encode the manifest as indented JSON, so that people can read it too."""
        return msgspec.json.format(msgspec.json.encode(attrs.asdict(self)), indent=2) + b"\n"
