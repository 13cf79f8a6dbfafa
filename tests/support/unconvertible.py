"""An estimator of scikit-learn's that skl2onnx does not know."""

from sklearn.semi_supervised import LabelPropagation


def make() -> LabelPropagation:
    return LabelPropagation()
