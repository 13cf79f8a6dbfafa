"""Counts category values that training did not see."""

from collections import Counter
from collections.abc import Sequence

from server.contract.signature import Feature, Row


class UnknownCategories:
    """The count of values outside of the vocabulary, by feature.

    Attributes:
        counts: By the name of each category, also where it is 0.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        """Begin with nothing.

        Args:
            features: The columns of a row.
        """
        self._vocabularies = [
            (index, feature.name, frozenset((*feature.vocabulary, "")))
            for index, feature in enumerate(features)
            if feature.type == "category"
        ]
        self.counts: Counter[str] = Counter({name: 0 for _, name, _ in self._vocabularies})

    def count(self, rows: Sequence[Row]) -> None:
        """Count a batch."""
        for index, name, vocabulary in self._vocabularies:
            if unknown := sum(row[index] not in vocabulary for row in rows):
                self.counts[name] += unknown
