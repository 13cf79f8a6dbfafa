"""The usual way: FastAPI, pydantic, pandas and the estimator itself. It runs in an environment of its own."""

import os
from typing import Any

import pandas as pd
import skops.io
from fastapi import FastAPI
from pydantic import BaseModel

FILE = os.environ["ESTIMATOR"]
MODEL_NAME = os.environ["MODEL_NAME"]
estimator: Any = skops.io.load(FILE, trusted=skops.io.get_untrusted_types(file=FILE))
app = FastAPI()


class Flower(BaseModel):
    """One row."""

    SepalLengthCm: float
    SepalWidthCm: float
    PetalLengthCm: float
    PetalWidthCm: float


class Prediction(BaseModel):
    """The answer."""

    output: str
    model_name: str


@app.post("/iris/predict")
def predict(flower: Flower) -> Prediction:
    """Predict one flower."""
    (label,) = estimator.predict(pd.DataFrame([flower.model_dump()]))
    return Prediction(output=str(label), model_name=MODEL_NAME)
