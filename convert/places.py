"""The option that says where versions are published; it knows nothing of them."""

import argparse
import os
from pathlib import Path


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    """Gives a command ``--models-dir``, which a variable may say too."""
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path(os.environ.get("COROLLA_MODELS_DIR") or "models"),
        help="the model repository (default: models; variable: COROLLA_MODELS_DIR)",
    )
