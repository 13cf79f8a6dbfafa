"""The facts about a version: manifest bytes <-> Manifest; the one owner of the schema, for writer and reader alike.

It knows nothing of folders, sessions or HTTP.
"""

import math
from typing import Any, Literal

import attrs
import msgspec

from server.contract.names import name_fault
from server.contract.signature import Answer, Label, Signature
from server.errors import RefusedError

FORMAT = 2
MAX_TOLERANCE = 1e-3
"""The largest tolerance of a probability that a server takes for a proof."""


def _check_name(_manifest: object, _field: object, name: str) -> None:
    if fault := name_fault(name):
        raise ValueError(fault)


@attrs.frozen
class Parity:
    """The figures of a parity proof: the estimator against the session on the same rows.

    Attributes:
        rows: How many rows were compared.
        max_batch_rows: The largest batch in which they were.
        label_mismatches: On how many of them the labels differed.
        mismatches: On how many of them the labels differed, or a number by more than the tolerance.
        max_difference: The largest difference of one number: a probability's (0 to 1), or a regressor's, relative to
            its size or to the spread of its answers, whichever is larger.
        tolerance: The largest such difference that is no mismatch.
        allowed_mismatches: How many were accepted knowingly.
    """

    rows: int
    max_batch_rows: int
    label_mismatches: int
    mismatches: int
    max_difference: float
    tolerance: float
    allowed_mismatches: int = 0

    def __attrs_post_init__(self) -> None:
        """Makes sure that the figures agree with each other."""
        least, is_off = self.label_mismatches, self.max_difference > self.tolerance
        if not (max(least, 1) <= self.mismatches if is_off else least == self.mismatches):
            raise ValueError(f"expected figures that agree with each other, got {self}")

    @property
    def passed(self) -> bool:
        """Whether all rows are answered alike, but for as many as were accepted."""
        return self.mismatches <= self.allowed_mismatches


@attrs.frozen
class GoldenRow:
    """A row with the estimator's own answer, replayed on the host before a version is served.

    Attributes:
        row: A value for each feature, by name; None where it is missing.
        output: The label, or number, that the estimator predicts.
        probabilities: Its probabilities, in the order of the signature's labels; none of a regressor.
        scale: What a difference of a regressor's number is relative to; 1 for probabilities.
    """

    row: dict[str, float | int | bool | str | None]
    output: Label
    probabilities: tuple[float, ...]
    scale: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))

    def is_flipped(self, answer: Answer) -> bool:
        """Says whether an answer has another label; a regressor's has none."""
        return bool(self.probabilities) and answer.label != self.output

    def difference(self, answer: Answer) -> float:
        """Gives the largest difference of one of an answer's numbers; infinity where one is NaN."""
        if self.probabilities:
            gaps = [abs(a - b) for a, b in zip(answer.probabilities, self.probabilities, strict=True)]
        else:
            gaps = [abs(float(answer.label) - float(self.output)) / self.scale]
        # A NaN would hide in a maximum.
        return math.inf if any(map(math.isnan, gaps)) else max(gaps)

    def to_request(self) -> bytes:
        """Gives the row as a client would send it."""
        return msgspec.json.encode(self.row)


@attrs.frozen
class RunFacts:
    """Where a model comes from: the facts of its run that a reader of the version needs.

    Attributes:
        id: The run's number in the log.
        dataset: The dataset's name.
        dataset_sha256: SHA-256 of the rows used, as the run keeps them.
        target: The column that was learned.
        estimator: What was asked for: a name, or ``module:function``.
        parameters: The estimator's parameters.
        seed: The seed of the split.
        started_at: When it began, UTC, ISO 8601.
        metric: What the scores are: ``accuracy``, the share of rows answered rightly (0 to 1), or ``r2``, the share of
            the target's variance that is explained (1 at most).
        train_score: On the rows that were learned from.
        test_score: On the held-out rows.
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
    """Everything that is known about a version.

    Attributes:
        format: The schema's number.
        name: The model's name in the repository and in routes.
        version: The number of the version's folder.
        model_name: The name of the estimator's training, as answers give it (``log_reg_1``).
        created_at: When it was published, UTC, ISO 8601.
        files: SHA-256 (hex) of every other file of the version that is served from, by file name.
        signature: What the compiled model takes and gives.
        run: The run it was compiled from.
        tools: The versions of what made it, by name.
        parity: The figures of its parity proof.
        golden: Rows to replay before serving.
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
        """Makes sure that the facts agree with each other."""
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
        """Reads a manifest.

        Raises:
            RefusedError: If the bytes are not a whole manifest of this format.
        """
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedError(f"manifest.json cannot be read: {error}") from error

    def to_json(self) -> bytes:
        """Writes the manifest as indented JSON, for people as much as for machines."""
        return msgspec.json.format(msgspec.json.encode(attrs.asdict(self)), indent=2) + b"\n"
