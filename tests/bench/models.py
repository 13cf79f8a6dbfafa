"""The models that are measured, trained and published by the project's own commands."""

import shutil
import sys
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
CACHE = Path(__file__).parent / "cache"
ESTIMATORS = {"log_reg": "log_reg", "forest": "tests.bench.estimators:forest", "mlp": "tests.bench.estimators:mlp"}


@attrs.frozen
class Published:
    """A published model.

    Attributes:
        name: Its name in the benchmark.
        models_dir: A model repository with this model alone.
        estimator_file: The fitted estimator.
        model_name: The ``model_name`` of its answers.
    """

    name: str
    models_dir: Path
    estimator_file: Path
    model_name: str


def publish(name: str) -> Published:
    """Train and publish a model on Iris, unless an earlier run has published one that can be served today."""
    import convert.cli  # noqa: PLC0415  they load scikit-learn, which need not stay in memory where all is found
    import training.cli  # noqa: PLC0415
    from convert.publishing.gates import find_served  # noqa: PLC0415

    folder = CACHE / name
    data_dir, models_dir = folder / "data", folder / "models"
    if find_served(models_dir, "iris") is None:
        shutil.rmtree(folder, ignore_errors=True)
        table = [str(ROOT / "data" / "Iris.csv"), "Species", "--drop", "Id", "--estimator", ESTIMATORS[name]]
        directories = ["--data-dir", str(data_dir)]
        if training.cli.main(["train", *table, *directories]) or convert.cli.main(
            ["1", *directories, "--models-dir", str(models_dir)]
        ):
            sys.exit(f"{name}: could not be published")
    (estimator_file,) = data_dir.glob("runs/1/estimator.skops")
    return Published(name, models_dir, estimator_file, f"{name}_1")
