"""The option that says where training keeps its log and its runs; it knows nothing of either."""

import argparse
import os
from pathlib import Path


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Gives a command ``--data-dir``, which a variable may say too."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("COROLLA_DATA_DIR") or "data"),
        help="where the log and the runs are (default: data; variable: COROLLA_DATA_DIR)",
    )
