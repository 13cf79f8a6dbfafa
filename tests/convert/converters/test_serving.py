"""The session that serves answers an exported tree model as the estimator does."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from convert.compile.export import export
from convert.compile.features import describe_features
from convert.parity.answers import to_rows
from server.models.session import Session
from tests.convert.converters.specimens import rows_at_thresholds
from tests.support.tables import make_table

KNOWN, TARGET = load_breast_cancer(return_X_y=True, as_frame=True)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(20, random_state=0),
        ExtraTreesClassifier(20, random_state=0),
        GradientBoostingClassifier(n_estimators=10, random_state=0),
        HistGradientBoostingClassifier(max_iter=10, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_served_model_gives_the_estimators_labels_at_every_threshold(estimator: Any, threads: int) -> None:
    estimator.fit(KNOWN.to_numpy(), TARGET)
    # In float32, which is what the session gives its model.
    rows = rows_at_thresholds(estimator, KNOWN.to_numpy()).astype(np.float32).astype(np.float64)
    compiled = export(estimator, describe_features(make_table(KNOWN, TARGET)))
    answers = Session(compiled.model, compiled.signature, threads).run(to_rows(pd.DataFrame(rows)))
    assert [answer.label for answer in answers] == estimator.predict(rows).tolist()
    np.testing.assert_allclose([answer.probabilities for answer in answers], estimator.predict_proba(rows), atol=6e-8)


def test_a_forest_behind_another_step_takes_that_steps_output() -> None:
    estimator = make_pipeline(SimpleImputer(strategy="median"), RandomForestClassifier(5, random_state=0))
    estimator.fit(KNOWN, TARGET)
    compiled = export(estimator, describe_features(make_table(KNOWN, TARGET)))
    answers = Session(compiled.model, compiled.signature).run(to_rows(KNOWN))
    rows: pd.DataFrame = KNOWN.astype(np.float32)
    assert [answer.label for answer in answers] == estimator.predict(rows).tolist()
