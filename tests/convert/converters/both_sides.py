"""An estimator and its compiled model, evaluated on the same rows."""

from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from numpy.testing import assert_allclose, assert_array_equal
from pandas.api.types import is_numeric_dtype
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from convert.converters.labels import widen_labels
from convert.converters.register import register_converters

TOLERANCE = {DoubleTensorType: 1e-12, FloatTensorType: 1e-5}
NUMPY = {DoubleTensorType: np.float64, FloatTensorType: np.float32, StringTensorType: object}

register_converters()


class BothSides:
    """A fitted estimator and its compiled model, with one input per column for a pipeline and one for all others."""

    def __init__(self, estimator: Any, known: pd.DataFrame, numbers: Any = DoubleTensorType) -> None:
        self.estimator = estimator
        self.tolerance = TOLERANCE[numbers]
        if isinstance(estimator, Pipeline):
            tensors = [numbers if is_numeric_dtype(known[name]) else StringTensorType for name in known.columns]
            self._inputs = {name: ([name], tensor) for name, tensor in zip(known.columns, tensors, strict=True)}
        else:
            self._inputs = {"features": (list(known.columns), numbers)}
        inputs = [(name, tensor([None, len(columns)])) for name, (columns, tensor) in self._inputs.items()]
        options = {"zipmap": False} if is_classifier(estimator) else None
        model = to_onnx(estimator, initial_types=inputs, options=options)
        if is_classifier(estimator):
            widen_labels(model, estimator.classes_)
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def ask_model(self, rows: pd.DataFrame) -> list[Any]:
        feeds = {name: rows[columns].to_numpy(dtype=NUMPY[tensor]) for name, (columns, tensor) in self._inputs.items()}
        return list(self._session.run(None, feeds))

    def check(self, rows: pd.DataFrame) -> None:
        """Asserts that labels are equal, and probabilities and numbers within the tolerance."""
        answers = self.ask_model(rows)
        if not is_classifier(self.estimator):
            expected = self.estimator.predict(rows)
            assert_allclose(answers[0].ravel(), expected, rtol=self.tolerance, atol=self.tolerance * np.std(expected))
            return
        assert_array_equal(answers[0], self.estimator.predict(rows))
        if hasattr(self.estimator, "predict_proba"):
            assert_allclose(answers[1], self.estimator.predict_proba(rows), rtol=0, atol=self.tolerance)


def draw_rows(known: pd.DataFrame, count: int) -> pd.DataFrame:
    """Draws half of the rows from the box of the known rows, half column by column from these, and some far away."""
    random = np.random.default_rng(0)
    uniform = random.uniform(known.min(), known.max(), size=(count // 2, known.shape[1]))
    mixed = np.column_stack([random.choice(known[name], count // 2) for name in known.columns])
    far = np.full((1, known.shape[1]), 1e30)
    return pd.DataFrame(np.vstack([uniform, mixed, far, -far]), columns=known.columns)


def read_table(load: Any) -> tuple[pd.DataFrame, Any]:
    """Returns one of scikit-learn's tables as features and target."""
    table = load()
    return pd.DataFrame(table.data, columns=[f"f{place}" for place in range(table.data.shape[1])]), table.target
