"""A data directory with a run, and a models directory with its published version."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import attrs

from server.contract.manifest import Manifest
from server.models.repository import MANIFEST_FILE

IRIS_CSV = Path(__file__).parents[2] / "data" / "Iris.csv"
IRIS_ROW: Mapping[str, float] = {"SepalLengthCm": 5, "SepalWidthCm": 2, "PetalLengthCm": 3, "PetalWidthCm": 4}


@attrs.frozen
class Workshop:
    """A data directory with one finished run, and a models directory with its published version."""

    data_dir: Path
    models_dir: Path

    @property
    def version_dir(self) -> Path:
        return self.models_dir / "iris" / "1"

    def manifest(self) -> Manifest:
        return Manifest.from_json((self.version_dir / MANIFEST_FILE).read_bytes())

    def copy_to(self, folder: Path) -> "Workshop":
        copied = Workshop(folder / "data", folder / "models")
        shutil.copytree(self.data_dir, copied.data_dir)
        shutil.copytree(self.models_dir, copied.models_dir)
        return copied
