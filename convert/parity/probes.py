"""Makes the probes of a parity proof: rows of every kind on which estimator and compiled model could differ.

Probes are drawn with a fixed seed, so the same dataset and estimator have the same probes each time.
"""

from collections.abc import Iterable, Iterator, Sequence

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from convert.parity.bisection import bisect_branches
from convert.parity.branches import Branches, adjacent_floats, visited_branches
from convert.parity.model_inputs import ModelInput, model_inputs
from server.contract.signature import Feature
from server.contract.types import MAX_FP32, MAX_INTEGER
from training.estimators import Estimator

GENERATED_ROWS = 20_000
MAX_BRANCHES = 30_000
"""Maximum number of branches that are probed. A forest on a large table has more: then a sample of this size is
probed, and the certificate says so."""
ROWS_PER_CHANGE = 20
"""Number of known rows that are repeated with a value missing, and with each unknown category."""
ROWS_PER_VALUE = 4
"""Number of known rows that are repeated with each boundary or extreme value."""
UNSEEN = ("\u2047 never seen", " ", "0", "nan")
"""Categories that training did not see; those of them that it did see are left out."""
HUGE = (1e6, 1e12, 1e30, MAX_FP32)
TINY = 1e-30
_SEED = 20_000


@attrs.frozen(eq=False)
class Probes:
    """Probes of one kind.

    Attributes:
        kind: The kind, as the certificate names it.
        rows: One column per feature, as in a dataset.
        extreme: True if the values are far beyond what training saw.
    """

    kind: str
    rows: pd.DataFrame
    extreme: bool = False


def make_probes(
    estimator: Estimator,
    known: pd.DataFrame,
    features: Sequence[Feature],
    *,
    generated_rows: int = GENERATED_ROWS,
    max_branches: int = MAX_BRANCHES,
) -> tuple[Probes, ...]:
    """Makes the rows on which both sides must agree.

    Args:
        estimator: The fitted estimator; trees within it are probed at their thresholds.
        known: All training and held-out rows.
        features: The description of each column.
        generated_rows: How many rows are drawn in the training range.
        max_branches: Maximum number of branches that are probed.
    """
    maker = _ProbeMaker(known, features)
    probes = (
        Probes("known", known),
        Probes("in the training range", maker.in_range(generated_rows)),
        maker.at_thresholds(estimator, max_branches),
        Probes("at boundary values", maker.at_boundaries()),
        Probes("extreme", maker.extreme(), extreme=True),
        Probes("with missing values", maker.missing()),
        Probes("with unseen categories", maker.unseen()),
    )
    return tuple(one for one in probes if len(one.rows))


class _ProbeMaker:
    """Makes rows from known rows by changing some of their values."""

    def __init__(self, known: pd.DataFrame, features: Sequence[Feature]) -> None:
        self._known = known
        self._features = features
        self._random = np.random.default_rng(_SEED)

    def in_range(self, count: int) -> pd.DataFrame:
        """Draws rows in the range of the known rows.

        One half is uniform in the box that the known rows span. The other half takes each feature's value from a known
        row of its own, and so lies where the values are dense.
        """
        columns = {}
        for feature in self._features:
            values = self._random.choice(self._known[feature.name].to_numpy(), count)
            if feature.type in {"number", "integer"}:
                uniform = self._random.uniform(feature.quantiles[0], feature.quantiles[-1], count // 2)
                values[: count // 2] = np.rint(uniform) if feature.type == "integer" else uniform
            columns[feature.name] = values
        return pd.DataFrame(columns)

    def at_thresholds(self, estimator: Estimator, max_branches: int) -> Probes:
        """Moves known rows to both sides of every branch that they visit, in all trees within an estimator."""
        found = [
            (model_input, visited_branches(model_input.model, model_input.prepare(self._known)))
            for model_input in model_inputs(estimator, self._known)
        ]
        ends = np.cumsum([0, *(len(branches.column) for _, branches in found)])
        kind, chosen = "at thresholds", np.arange(ends[-1])
        if ends[-1] > max_branches:
            kind += f" ({max_branches:,} of {ends[-1]:,} branches)"
            chosen = np.sort(self._random.choice(chosen, max_branches, replace=False))
        frames = [self._known.iloc[:0]]
        for (model_input, branches), start, end in zip(found, ends, ends[1:], strict=False):
            frames += self._at_branches(
                model_input, branches.select(chosen[(start <= chosen) & (chosen < end)] - start)
            )
        return Probes(kind, pd.concat(frames, ignore_index=True).drop_duplicates(ignore_index=True))

    def _at_branches(self, model_input: ModelInput, branches: Branches) -> Iterator[pd.DataFrame]:
        """Bisects branches on derived columns, and sets features directly for branches on features."""
        is_derived = np.array([name is None for name in model_input.features])[branches.column]
        yield bisect_branches(model_input, branches.select(np.flatnonzero(is_derived)), self._known, self._features)
        for column in np.unique(branches.column[~is_derived]).tolist():
            of_column = branches.select(np.flatnonzero(branches.column == column))
            values = adjacent_floats(of_column.threshold)
            yield self._with_values(str(model_input.features[column]), of_column.visitor, values)

    def _with_values(self, name: str, visitors: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> pd.DataFrame:
        """Returns each visitor with one feature set to each of its values, and to missing if the feature is nullable.

        Args:
            name: The feature.
            visitors: Positions of n known rows.
            values: The values for each of them, shape ``(n, values)``.
        """
        feature = next(feature for feature in self._features if feature.name == name)
        settings = [_to_valid(feature, each) for each in values]
        if feature.nullable:
            settings = [np.append(each, np.nan) for each in settings]
        rows = self._known.iloc[np.repeat(visitors, [len(each) for each in settings])].reset_index(drop=True)
        rows[name] = np.concatenate(settings)
        return rows.drop_duplicates()

    def at_boundaries(self) -> pd.DataFrame:
        """Sets one feature at a time to its smallest and largest value, its quartiles, 0 and next to 0."""
        return self._with_changes(
            (feature, _to_valid(feature, np.array([0.0, TINY, -TINY, *feature.quantiles])), ROWS_PER_VALUE)
            for feature in self._features
            if feature.type != "category"
        )

    def extreme(self) -> pd.DataFrame:
        """Sets one feature at a time, and then all together, far beyond what training saw."""
        values = [*HUGE, *(-value for value in HUGE)]
        numeric = [feature for feature in self._features if feature.type in {"number", "integer"}]
        alone = self._with_changes(
            (feature, _to_valid(feature, np.array(values)), ROWS_PER_VALUE) for feature in numeric
        )
        together = self._sample(len(values) * ROWS_PER_VALUE)
        for feature in numeric:
            if feature.type == "number":
                signs = self._random.choice([-1.0, 1.0], len(together))
                together[feature.name] = np.tile(values, ROWS_PER_VALUE) * signs
        return pd.concat([alone, together], ignore_index=True)

    def missing(self) -> pd.DataFrame:
        """Removes the values of each nullable feature alone, of all of them, and of a random subset per row."""
        nullable = [feature for feature in self._features if feature.nullable]
        if not nullable:
            return self._known.iloc[:0]
        one = [self._without([feature]) for feature in nullable]
        some = self._sample(50 * ROWS_PER_CHANGE)
        for feature in nullable:
            some.loc[self._random.random(len(some)) < 1 / 2, feature.name] = feature.missing
        return pd.concat([*one, self._without(nullable), some], ignore_index=True)

    def unseen(self) -> pd.DataFrame:
        """Sets each category to texts that training did not see."""
        return self._with_changes(
            (
                feature,
                np.array([text for text in UNSEEN if text not in feature.vocabulary], dtype=object),
                ROWS_PER_CHANGE,
            )
            for feature in self._features
            if feature.type == "category"
        )

    def _with_changes(self, changes: Iterable[tuple[Feature, npt.NDArray[np.generic], int]]) -> pd.DataFrame:
        """Returns known rows with one feature changed; a change is a feature, its values, and rows per value."""
        frames = [self._known.iloc[:0]]
        for feature, values, rows_each in changes:
            rows = self._sample(len(values) * rows_each)
            rows[feature.name] = np.repeat(values, rows_each)
            frames.append(rows)
        return pd.concat(frames, ignore_index=True)

    def _without(self, features: Sequence[Feature]) -> pd.DataFrame:
        rows = self._sample(ROWS_PER_CHANGE)
        for feature in features:
            rows[feature.name] = feature.missing
        return rows

    def _sample(self, count: int) -> pd.DataFrame:
        return self._known.iloc[self._random.integers(len(self._known), size=count)].reset_index(drop=True)


def _to_valid(feature: Feature, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the values, or those nearest to them that a request can send, each once."""
    if feature.type == "boolean":
        return np.array([0.0, 1.0])
    if feature.type == "integer":
        return np.unique(np.clip([np.floor(values), np.ceil(values)], -MAX_INTEGER, MAX_INTEGER))
    return np.unique(np.clip(values, -MAX_FP32, MAX_FP32))
