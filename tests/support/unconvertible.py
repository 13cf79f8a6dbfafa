"""An estimator of scikit-learn that skl2onnx cannot convert."""

from sklearn.semi_supervised import LabelPropagation


def make() -> LabelPropagation:
    return LabelPropagation()
