"""List what is installed in an image, as JSON; the image's own Python runs it, so it imports nothing of the project."""

import importlib.metadata
import json
import platform
import sys
from pathlib import Path
from typing import Any


def list_installed(root: Path) -> dict[str, Any]:
    """Return Python's version and packages, the distribution's packages, and the models' manifests.

    Args:
        root: The root of the image's file system.
    """
    release = _fields((root / "etc/os-release").read_text(), "=")
    status = (root / "var/lib/dpkg/status").read_text()
    packages = [_fields(paragraph, ": ") for paragraph in status.split("\n\n") if paragraph.strip()]
    return {
        "python": platform.python_version(),
        "pypi": [_describe(package) for package in importlib.metadata.distributions()],
        "distribution": {"id": release["ID"], "release": release["VERSION_CODENAME"]},
        "deb": [
            {"name": fields["Package"], "version": fields["Version"], "architecture": fields["Architecture"]}
            for fields in packages
            if fields["Status"].endswith(" installed")
        ],
        "manifests": [file.read_text() for file in sorted((root / "models").glob("*/*/manifest.json"))],
    }


def _describe(package: importlib.metadata.Distribution) -> dict[str, Any]:
    metadata = package.metadata
    classes = [
        text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier", []) if text.startswith("License :: ")
    ]
    # Newer packages have an expression. The License field of older ones holds a name, or a whole text.
    names = [*metadata.get_all("License-Expression", []), *metadata.get_all("License", [])]
    licences = [name for name in names if "\n" not in name][:1] or classes
    return {"name": package.name, "version": package.version, "licences": licences}


def _fields(text: str, separator: str) -> dict[str, str]:
    parts = (line.partition(separator) for line in text.splitlines() if not line.startswith(" "))
    return {name: value.strip('"') for name, _, value in parts}


if __name__ == "__main__":
    json.dump(list_installed(Path(sys.argv[1])), sys.stdout)
