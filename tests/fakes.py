"""Stand-ins for faults and answers that the real thing cannot be made to show."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from server.session import Session
from server.signature import Answer, Row

Numbers = npt.NDArray[np.float64]


class FixedClassifier:
    """A fitted estimator whose answers are given."""

    def __init__(
        self, classes: Sequence[str], answers: Sequence[str], probabilities: Sequence[Sequence[float]]
    ) -> None:
        self.classes_ = np.array(classes)
        self._answers = np.array(answers)
        self._probabilities = np.array(probabilities)

    def predict(self, _rows: pd.DataFrame) -> npt.NDArray[np.str_]:
        return self._answers

    def predict_proba(self, _rows: pd.DataFrame) -> Numbers:
        return self._probabilities


class AlteredSession(Session):
    """A sound session whose answers are altered, batch by batch, on their way out; it notes each batch it is given."""

    def __init__(self, sound: Session, alter: Callable[[list[Answer]], list[Answer]] = list) -> None:
        self._sound = sound
        self._alter = alter
        self.batches: list[Numbers] = []

    def run(self, rows: Sequence[Row] | Numbers) -> list[Answer]:
        self.batches.append(np.asarray(rows))
        return self._alter(self._sound.run(rows))
