"""An estimator is compiled with a signature that tells all of it, or refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from convert.errors import ConvertError
from convert.export import export
from server.session import Session
from server.signature import MAX_FP32, Feature, Signature, Tensor
from training.dataset import Dataset
from training.estimators import Estimator


def test_the_signature_of_iris_tells_its_features_and_labels(estimator: Estimator, iris: Dataset) -> None:
    assert export(estimator, iris.features).signature == Signature(
        inputs=(Tensor("features", "FP32", (-1, 4)),),
        outputs=(Tensor("label", "BYTES", (-1,)), Tensor("probabilities", "FP32", (-1, 3))),
        features=(
            Feature("SepalLengthCm", "number", nullable=False, minimum=4.3, maximum=7.9),
            Feature("SepalWidthCm", "number", nullable=False, minimum=2.0, maximum=4.4),
            Feature("PetalLengthCm", "number", nullable=False, minimum=1.0, maximum=6.9),
            Feature("PetalWidthCm", "number", nullable=False, minimum=0.1, maximum=2.5),
        ),
        labels=("Iris-setosa", "Iris-versicolor", "Iris-virginica"),
    )


def test_a_model_of_whole_number_labels_gives_whole_numbers(iris: Dataset) -> None:
    labels = iris.target.map({"Iris-setosa": 7, "Iris-versicolor": -1, "Iris-virginica": 30})
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(iris.features, labels)
    compiled = export(estimator, iris.features)
    assert compiled.signature.labels == (-1, 7, 30)
    assert compiled.signature.outputs[0] == Tensor("label", "INT64", (-1,))
    answers = Session(compiled.model, compiled.signature).run(iris.features.to_numpy())
    assert [answer.label for answer in answers] == estimator.predict(iris.features).tolist()


@pytest.mark.parametrize("remainder", ["drop", "passthrough"])
@pytest.mark.parametrize("names", [["a", "b", "c", "d"], ["sepal (cm)", 'say "b": c', "花, größte", "label"]])
def test_an_estimator_that_takes_columns_by_name_is_given_each_feature_under_its_own(
    iris: Dataset, names: list[str], remainder: str
) -> None:
    features = iris.features.set_axis(names, axis="columns")
    columns = ColumnTransformer(
        [("one", MinMaxScaler(), [names[3]]), ("two", StandardScaler(), [names[2], names[0]])], remainder=remainder
    )
    estimator = make_pipeline(columns, LogisticRegression()).fit(features, iris.target)
    compiled = export(estimator, features)
    answers = Session(compiled.model, compiled.signature).run(features.to_numpy())
    assert [answer.label for answer in answers] == estimator.predict(features).tolist()
    expected = estimator.predict_proba(features)
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected, atol=1e-6)


def test_an_estimator_that_skl2onnx_does_not_know_is_refused_by_its_type(iris: Dataset) -> None:
    estimator = DummyClassifier().fit(iris.features, iris.target)
    with pytest.raises(ConvertError, match=r"^skl2onnx cannot compile DummyClassifier: "):
        export(estimator, iris.features)


@pytest.mark.parametrize(
    ("values", "span"),
    [([0.0, 1e39], "0.0 to 1e+39"), ([-1e39, 0.0], "-1e+39 to 0.0"), ([0.0, MAX_FP32 * (1 + 1e-15)], "0.0 to 3.4")],
)
def test_a_feature_beyond_fp32_is_refused_by_name(estimator: Estimator, values: list[float], span: str) -> None:
    with pytest.raises(ConvertError) as refusal:
        export(estimator, pd.DataFrame({"mass": values}))
    assert str(refusal.value).startswith(f"feature 'mass' has values from {span}")
    assert str(refusal.value).endswith("beyond FP32 (±3.4028235e+38)")


def test_the_largest_fp32_is_not_beyond_it(estimator: Estimator, iris: Dataset) -> None:
    known = iris.features.assign(SepalLengthCm=MAX_FP32)
    assert export(estimator, known).signature.features[0].maximum == MAX_FP32
