"""Dataset + estimator -> the rows on which parity is proven: every kind of row that could tell both sides apart.

They are drawn with a fixed seed: the same ones each time. It knows nothing of sessions.
"""

from collections.abc import Iterable, Iterator, Sequence

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from convert.parity.bisection import cross
from convert.parity.branches import Branches, around, visited_branches
from convert.parity.model_inputs import ModelInput, model_inputs
from server.contract.signature import Feature
from server.contract.types import MAX_FP32, MAX_INTEGER
from training.estimators import Estimator

GENERATED_ROWS = 20_000
MAX_BRANCHES = 30_000
"""Of more than these, as a forest on a large table has, a part is asked; the certificate says so."""
BESIDE_ROWS = 20
"""How many known rows are asked again with one feature made extreme, missing or unseen."""
UNSEEN = ("\u2047 never seen", " ", "0", "nan")
"""Texts that stand for a category that training did not see; what of them it did is passed over."""
HUGE = (1e6, 1e12, 1e30, MAX_FP32)
TINY = 1e-30
_SEED = 20_000


@attrs.frozen(eq=False)
class Questions:
    """Rows to ask.

    Attributes:
        kind: What sort of rows they are, in words.
        rows: One column a feature, as in a dataset.
        extreme: Whether their values are far beyond what training saw.
    """

    kind: str
    rows: pd.DataFrame
    extreme: bool = False


def make_questions(estimator: Estimator, known: pd.DataFrame, features: Sequence[Feature]) -> tuple[Questions, ...]:
    """Makes the rows on which both sides must agree.

    Args:
        estimator: The fitted estimator; where it is made of trees they tell their thresholds.
        known: All training and held-out rows.
        features: What training saw of each column.
    """
    maker = _Maker(known, features)
    questions = (
        Questions("known", known),
        Questions("in the training range", maker.in_range(GENERATED_ROWS)),
        maker.at_thresholds(estimator),
        Questions("at the ends", maker.at_ends()),
        Questions("extreme", maker.extreme(), extreme=True),
        Questions("with missing values", maker.missing()),
        Questions("with unseen categories", maker.unseen()),
    )
    return tuple(asked for asked in questions if len(asked.rows))


class _Maker:
    """Makes rows of known ones by changing what they hold."""

    def __init__(self, known: pd.DataFrame, features: Sequence[Feature]) -> None:
        self._known = known
        self._features = features
        self._random = np.random.default_rng(_SEED)

    def in_range(self, count: int) -> pd.DataFrame:
        """Draws rows in the range of the known ones.

        Half of them come uniformly from the box that the known rows span; the others have each feature's value from a
        known row of its own, and so lie where the values are dense.
        """
        columns = {}
        for feature in self._features:
            values = self._random.choice(self._known[feature.name].to_numpy(), count)
            if feature.type in {"number", "integer"}:
                uniform = self._random.uniform(feature.quantiles[0], feature.quantiles[-1], count // 2)
                values[: count // 2] = np.rint(uniform) if feature.type == "integer" else uniform
            columns[feature.name] = values
        return pd.DataFrame(columns)

    def at_thresholds(self, estimator: Estimator) -> Questions:
        """Puts known rows to both sides of every branch that they come by, of all trees within an estimator."""
        found = [
            (given, visited_branches(given.model, given.prepare(self._known)))
            for given in model_inputs(estimator, self._known)
        ]
        ends = np.cumsum([0, *(len(branches.column) for _, branches in found)])
        kind, asked = "at thresholds", np.arange(ends[-1])
        if ends[-1] > MAX_BRANCHES:
            kind += f" ({MAX_BRANCHES:,} of {ends[-1]:,} branches)"
            asked = np.sort(self._random.choice(asked, MAX_BRANCHES, replace=False))
        frames = [self._known.iloc[:0]]
        for (given, branches), start, end in zip(found, ends, ends[1:], strict=False):
            frames += self._at_branches(given, branches.at(asked[(start <= asked) & (asked < end)] - start))
        return Questions(kind, pd.concat(frames, ignore_index=True).drop_duplicates(ignore_index=True))

    def _at_branches(self, given: ModelInput, branches: Branches) -> Iterator[pd.DataFrame]:
        is_made = np.array([name is None for name in given.features])[branches.column]
        yield cross(given, branches.at(np.flatnonzero(is_made)), self._known, self._features)
        for place in np.unique(branches.column[~is_made]).tolist():
            at = branches.at(np.flatnonzero(branches.column == place))
            yield self._put_to(str(given.features[place]), at.visitor, around(at.threshold))

    def _put_to(self, name: str, visitors: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> pd.DataFrame:
        """Gives each visitor with one feature put to each of a row of values, and without it where that may be."""
        feature = next(feature for feature in self._features if feature.name == name)
        asked = [_askable(feature, each) for each in values]
        if feature.nullable:
            asked = [np.append(each, np.nan) for each in asked]
        rows = self._known.iloc[np.repeat(visitors, [len(each) for each in asked])].reset_index(drop=True)
        rows[name] = np.concatenate(asked)
        return rows.drop_duplicates()

    def at_ends(self) -> pd.DataFrame:
        """Puts each feature by itself to its ends and quartiles, to 0 and beside it."""
        return self._changed(
            (feature, _askable(feature, np.array([0.0, TINY, -TINY, *feature.quantiles])), 4)
            for feature in self._features
            if feature.type != "category"
        )

    def extreme(self) -> pd.DataFrame:
        """Puts each feature by itself, and all of them together, far beyond what training saw."""
        values = [*HUGE, *(-value for value in HUGE)]
        numeric = [feature for feature in self._features if feature.type in {"number", "integer"}]
        alone = self._changed((feature, _askable(feature, np.array(values)), 4) for feature in numeric)
        together = self._sample(len(values) * 4)
        for feature in numeric:
            if feature.type == "number":
                signs = self._random.choice([-1.0, 1.0], len(together))
                together[feature.name] = np.tile(values, 4) * signs
        return pd.concat([alone, together], ignore_index=True)

    def missing(self) -> pd.DataFrame:
        """Takes away each nullable feature by itself, all of them, and some at random."""
        nullable = [feature for feature in self._features if feature.nullable]
        if not nullable:
            return self._known.iloc[:0]
        one = [self._without([feature]) for feature in nullable]
        some = self._sample(50 * BESIDE_ROWS)
        for feature in nullable:
            some.loc[self._random.random(len(some)) < 1 / 2, feature.name] = feature.missing
        return pd.concat([*one, self._without(nullable), some], ignore_index=True)

    def unseen(self) -> pd.DataFrame:
        """Gives each category texts that training did not see."""
        return self._changed(
            (feature, np.array([text for text in UNSEEN if text not in feature.vocabulary], dtype=object), BESIDE_ROWS)
            for feature in self._features
            if feature.type == "category"
        )

    def _changed(self, changes: Iterable[tuple[Feature, npt.NDArray[np.generic], int]]) -> pd.DataFrame:
        """Gives known rows with one feature put to each of some values, each value in a number of rows."""
        frames = [self._known.iloc[:0]]
        for feature, values, rows_each in changes:
            rows = self._sample(len(values) * rows_each)
            rows[feature.name] = np.repeat(values, rows_each)
            frames.append(rows)
        return pd.concat(frames, ignore_index=True)

    def _without(self, features: Sequence[Feature]) -> pd.DataFrame:
        rows = self._sample(BESIDE_ROWS)
        for feature in features:
            rows[feature.name] = feature.missing
        return rows

    def _sample(self, count: int) -> pd.DataFrame:
        return self._known.iloc[self._random.integers(len(self._known), size=count)].reset_index(drop=True)


def _askable(feature: Feature, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gives those values, or the nearest to them, that a request can have."""
    if feature.type == "boolean":
        return np.array([0.0, 1.0])
    if feature.type == "integer":
        return np.unique(np.clip([np.floor(values), np.ceil(values)], -MAX_INTEGER, MAX_INTEGER))
    return np.unique(np.clip(values, -MAX_FP32, MAX_FP32))
