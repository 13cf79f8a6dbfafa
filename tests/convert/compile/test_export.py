"""An estimator is compiled with a complete signature, or refused."""

from typing import Any

import attrs
import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from convert.compile import export as export_module
from convert.compile.export import MAX_REASON_CHARS, PRECISIONS, Precision, export
from convert.compile.features import describe_features
from convert.errors import ConvertError
from convert.parity.answers import to_rows
from server.contract.signature import Feature, Label, Signature, Tensor
from server.contract.types import MAX_FP32, MAX_TEXT_CHARS
from server.models.session import Session
from tests.support.tables import WORDS, make_specimen, make_table, mixed_table
from training.dataset import Dataset
from training.estimators import Estimator

INPUTS = {"float32": "FP32", "float64": "FP64"}
OWN_NAMES = ["numbers", "categories", "label", "probabilities", "variable", "numbers 0", "position of numbers 0", "x y"]
"""Names that graphs use for their own values, or that are not allowed in them."""


def logistic() -> LogisticRegression:
    return LogisticRegression(solver="newton-cholesky")


def test_the_signature_of_iris_has_its_features_and_labels(estimator: Estimator, iris: Dataset) -> None:
    assert export(estimator, describe_features(iris)).signature == Signature(
        inputs=(Tensor("numbers", "FP32", (-1, 4)),),
        outputs=(Tensor("label", "BYTES", (-1,)), Tensor("probabilities", "FP32", (-1, 3))),
        features=(
            Feature("SepalLengthCm", "number", nullable=False, quantiles=(4.3, 5.1, 5.8, 6.4, 7.9)),
            Feature("SepalWidthCm", "number", nullable=False, quantiles=(2.0, 2.8, 3.0, 3.3, 4.4)),
            Feature("PetalLengthCm", "number", nullable=False, quantiles=(1.0, 1.6, 4.3, 5.1, 6.9)),
            Feature("PetalWidthCm", "number", nullable=False, quantiles=(0.1, 0.3, 1.3, 1.8, 2.5)),
        ),
        labels=("Iris-setosa", "Iris-versicolor", "Iris-virginica"),
    )


def test_features_have_their_columns_type_and_are_nullable_if_values_are_missing() -> None:
    features = describe_features(mixed_table())
    assert [(feature.name, feature.type, feature.nullable) for feature in features] == [
        ("size (cm)", "number", False),
        ("weight", "number", True),
        ("kind", "category", False),
        ("count", "integer", True),
        ("steps", "integer", False),
        ("is new", "boolean", False),
        ("is open", "boolean", True),
        ("numbers", "category", True),
    ]
    assert [feature.vocabulary for feature in features if feature.type == "category"] == [tuple(sorted(WORDS))] * 2
    assert features[5].quantiles[0] == 0
    assert features[5].quantiles[-1] == 1


def test_quantiles_are_values_of_the_table_and_ignore_missing_ones() -> None:
    known = make_table(pd.DataFrame({"n": [np.nan, 3.0, 1.0, np.nan, 10.0]}), ["a", "b", "a", "b", "a"])
    assert describe_features(known) == (Feature("n", "number", nullable=True, quantiles=(1, 1, 3, 10, 10)),)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("labels", "datatype"),
    [(("no", "yes", ""), "BYTES"), ((False, True), "INT64"), ((-7, 3, 5_000_000_000), "INT64"), (None, "")],
)
def test_a_mixed_table_has_one_input_for_numbers_and_one_for_categories(
    precision: Precision, labels: tuple[Label, ...] | None, datatype: str
) -> None:
    made = make_specimen(mixed_table(labels), "decision_tree", precision)
    signature = made.compiled.signature
    width = INPUTS[precision]
    assert [attrs.astuple(tensor) for tensor in signature.inputs] == [
        ("numbers", width, (-1, 6)),
        ("categories", "BYTES", (-1, 2)),
    ]
    classifier = [("label", datatype, (-1,)), ("probabilities", width, (-1, len(labels or ())))]
    expected = [("variable", width, (-1, 1))] if labels is None else classifier
    assert [attrs.astuple(tensor) for tensor in signature.outputs] == expected
    assert signature.labels == tuple(sorted(labels or ()))
    answers = Session(made.compiled.model, signature).run(to_rows(made.dataset.features))
    predicted = made.estimator.predict(made.dataset.features).tolist()
    found = [answer.label for answer in answers]
    assert found == (pytest.approx(predicted, rel=1e-6) if labels is None else predicted)
    assert {type(label) for label in found} == {type(label) for label in predicted}


def test_a_table_of_categories_alone_has_no_input_for_numbers() -> None:
    words = pd.DataFrame({"c": ["a", "b", "c", "a"] * 5, "d": ["x", "", "y", "y"] * 5})
    made = make_specimen(make_table(words, ["no", "yes", "no", "yes"] * 5), "log_reg")
    assert made.compiled.signature.inputs == (Tensor("categories", "BYTES", (-1, 2)),)
    assert made.prove().parity.passed


def test_a_model_of_integer_labels_answers_integers(iris: Dataset) -> None:
    labels = iris.target.map({"Iris-setosa": 7, "Iris-versicolor": -1, "Iris-virginica": 30})
    estimator = make_pipeline(StandardScaler(), logistic()).fit(iris.features, labels)
    compiled = export(estimator, describe_features(make_table(iris.features, labels)))
    assert compiled.signature.labels == (-1, 7, 30)
    assert compiled.signature.outputs[0] == Tensor("label", "INT64", (-1,))
    answers = Session(compiled.model, compiled.signature).run(to_rows(iris.features))
    assert [answer.label for answer in answers] == estimator.predict(iris.features).tolist()


@pytest.mark.parametrize("remainder", ["drop", "passthrough"])
@pytest.mark.parametrize(
    "names",
    [
        ["a", "b", "c", "d"],
        ["sepal (cm)", 'say "b": c', "花, größte", "label"],
        ["a b", "a_b", "a-b", "a b_1"],
        OWN_NAMES[:4],
        OWN_NAMES[4:],
        ["numbers 1", "position of numbers 1", "numbers", "merged_columns"],
    ],
)
def test_an_estimator_that_selects_columns_by_name_gets_each_by_its_own(
    iris: Dataset, names: list[str], remainder: str
) -> None:
    features = iris.features.set_axis(names, axis="columns")
    columns = ColumnTransformer(
        [("one", MinMaxScaler(), [names[3]]), ("two", StandardScaler(), [names[2], names[0]])], remainder=remainder
    )
    estimator = make_pipeline(columns, logistic()).fit(features, iris.target)
    compiled = export(estimator, describe_features(make_table(features, iris.target)))
    answers = Session(compiled.model, compiled.signature).run(to_rows(features))
    assert [answer.label for answer in answers] == estimator.predict(features).tolist()
    expected = estimator.predict_proba(features)
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected, atol=1e-6)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("name", OWN_NAMES)
def test_a_column_beside_categories_may_have_any_name(name: str, task: str) -> None:
    random = np.random.default_rng(0)
    number, word = random.normal(size=30), random.choice(["a", "b", "c"], 30).astype(object)
    target: Any = number + (word == "a")
    for features in ({"z": word, name: number}, {"z": number, name: word}):
        known = make_table(pd.DataFrame(features), target if task == "regression" else target > 0)
        assert make_specimen(known, "ridge" if task == "regression" else "log_reg").prove().parity.passed


@pytest.mark.parametrize("precision", PRECISIONS)
def test_columns_that_the_estimator_drops_are_inputs_all_the_same(precision: Precision) -> None:
    known = mixed_table()
    columns = ColumnTransformer([("kept", StandardScaler(), ["steps"]), ("word", OneHotEncoder(), ["kind"])])
    estimator = make_pipeline(columns, logistic()).fit(known.features, known.target)
    compiled = export(estimator, describe_features(known), precision)
    assert len(compiled.signature.features) == 8
    answers = Session(compiled.model, compiled.signature).run(to_rows(known.features))
    assert [answer.label for answer in answers] == estimator.predict(known.features).tolist()


def test_a_model_of_numbers_alone_has_no_gather_at_its_input(compiled: Any) -> None:
    assert "Gather" not in {node.op_type for node in onnx.load_from_string(compiled.model).graph.node[:1]}


def test_an_estimator_that_skl2onnx_does_not_know_is_refused_by_its_type(iris: Dataset) -> None:
    estimator = DummyClassifier().fit(iris.features, iris.target)
    with pytest.raises(ConvertError, match=r"^skl2onnx cannot compile DummyClassifier: ") as refusal:
        export(estimator, describe_features(iris))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) <= MAX_REASON_CHARS + 50


def test_a_lack_of_memory_is_not_the_estimators_fault(
    estimator: Estimator, iris: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(export_module, "to_onnx", fail)
    with pytest.raises(MemoryError):
        export(estimator, describe_features(iris))


@pytest.mark.parametrize(("chars", "fault"), [(MAX_TEXT_CHARS, None), (MAX_TEXT_CHARS + 1, "has a text of 1001 char")])
def test_a_category_that_no_request_could_send_is_refused_by_name(chars: int, fault: str | None) -> None:
    known = make_table(pd.DataFrame({"word": ["a", "x" * chars] * 10}), ["no", "yes"] * 10)
    if fault is None:
        assert make_specimen(known, "log_reg").prove().parity.passed
        return
    with pytest.raises(ConvertError) as refusal:
        describe_features(known)
    assert str(refusal.value).startswith(f"feature 'word' {fault}")
    assert str(refusal.value).endswith("more than 1000: '" + "x" * 64 + "'...")


def test_the_largest_fp32_is_not_beyond_it(iris: Dataset) -> None:
    known = make_table(iris.features.assign(SepalLengthCm=[0, MAX_FP32] * 75), iris.target)
    made = make_specimen(known, "decision_tree")
    assert made.compiled.signature.features[0].quantiles == (0, 0, 0, MAX_FP32, MAX_FP32)
    assert made.prove().parity.passed
