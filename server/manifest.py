"""The facts about a version: manifest bytes <-> Manifest; the one owner of the schema, for writer and reader alike.

It knows nothing of folders, sessions or HTTP.
"""

import re
from typing import Any

import attrs
import msgspec

from server.errors import RefusedError
from server.signature import Label, Signature

FORMAT = 1
MODEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
RESERVED_NAMES = frozenset({"docs", "healthz", "metrics", "readyz", "v2"})
"""First path segments that the server uses, or will use, itself."""


MAX_TOLERANCE = 1e-3
"""The largest tolerance of a probability that a server takes for a proof."""


def name_fault(name: str) -> str | None:
    """Says what is wrong with a model's name, or None where it can be a route."""
    if not MODEL_NAME.fullmatch(name):
        return f"expected a model name that matches {MODEL_NAME.pattern}, got {name!r}"
    if name in RESERVED_NAMES:
        return f"the name {name!r} is one that the server uses itself; reserved are {', '.join(sorted(RESERVED_NAMES))}"
    return None


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
        max_probability_difference: The largest absolute difference of one probability (0 to 1).
        tolerance: The largest such difference that passes.
    """

    rows: int
    max_batch_rows: int
    label_mismatches: int
    max_probability_difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every label agreed and no probability was off by more than the tolerance."""
        return self.label_mismatches == 0 and self.max_probability_difference <= self.tolerance


@attrs.frozen
class GoldenRow:
    """A row with the estimator's own answer, replayed on the host before a version is served.

    Attributes:
        row: A number for each feature, by name.
        output: The label that the estimator predicts.
        probabilities: Its probabilities, in the order of the signature's labels.
    """

    row: dict[str, float]
    output: Label
    probabilities: tuple[float, ...]

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
        train_accuracy: Share of training rows answered rightly (0 to 1).
        test_accuracy: Share of held-out rows answered rightly (0 to 1).
    """

    id: int
    dataset: str
    dataset_sha256: str
    target: str
    estimator: str
    parameters: dict[str, Any]
    seed: int
    started_at: str
    train_accuracy: float
    test_accuracy: float


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
            if known.output not in labels or len(known.probabilities) != len(labels):
                raise ValueError(f"expected golden rows with the labels {labels}, got {known}")

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
