"""Fakes, for faults and answers that the real thing cannot be made to show."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from server.contract.signature import Answer, Row
from server.models.session import Session

Numbers = npt.NDArray[np.float64]


class FixedClassifier:
    """A fitted estimator with fixed answers."""

    def __init__(
        self, classes: Sequence[str], answers: Sequence[str], probabilities: Sequence[Sequence[float]]
    ) -> None:
        self.classes_ = np.array(classes)
        self._answers = np.array(answers)
        self._probabilities = np.array(probabilities)

    def predict(self, _rows: pd.DataFrame) -> npt.NDArray[np.str_]:
        return self._answers

    def predict_proba(self, _rows: pd.DataFrame) -> Numbers:
        return self._probabilities


class AlteredEstimator:
    """A real estimator whose probabilities or numbers are altered, depending on the rows; or that fails first."""

    def __init__(
        self,
        sound: Any,
        alter: Callable[[pd.DataFrame, Numbers], Numbers] = lambda _, numbers: numbers,
        fail: Callable[[pd.DataFrame], None] = lambda _: None,
    ) -> None:
        self._sound = sound
        self._alter = alter
        self._fail = fail
        self.batches: list[int] = []

    def predict(self, rows: pd.DataFrame) -> npt.NDArray[Any]:
        self.batches.append(len(rows))
        self._fail(rows)
        answers: npt.NDArray[Any] = self._sound.predict(rows)
        return answers if hasattr(self._sound, "classes_") else self._alter(rows, answers)

    def predict_proba(self, rows: pd.DataFrame) -> Numbers:
        return self._alter(rows, self._sound.predict_proba(rows))


class AlteredSession(Session):
    """A real session whose answers are altered, batch by batch; it records each batch."""

    def __init__(self, sound: Session, alter: Callable[[list[Answer]], list[Answer]] = list) -> None:
        self._sound = sound
        self._alter = alter
        self.batches: list[npt.NDArray[np.object_]] = []

    def run(self, rows: Sequence[Row]) -> list[Answer]:
        self.batches.append(np.array(rows, dtype=object))
        return self._alter(self._sound.run(rows))


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can advance, so that deadlines pass without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self._turned_s = 0.0

    def time(self) -> float:
        return super().time() + self._turned_s

    def turn_clock(self, seconds: float) -> None:
        self._turned_s += seconds


class DiskNotes:
    """Does and records every fsync and rename, in order. A test cannot cut the power to see what is on the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.steps: list[str] = []
        self.synced_bytes: dict[str, int] = {}
        self._root = root
        self._fsync, self._rename = os.fsync, os.rename
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "rename", self.rename)

    def fsync(self, descriptor: int) -> None:
        path = self._place(Path(f"/proc/self/fd/{descriptor}").readlink())
        self.steps.append(f"fsync {path}")
        self.synced_bytes[path] = os.fstat(descriptor).st_size
        self._fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        self.steps.append(f"rename {self._place(source)} {self._place(target)}")
        self._rename(source, target)

    def _place(self, path: Path) -> str:
        return str(path.relative_to(self._root))


class StandInPodman:
    """A command `podman` for machines without one: an image is a file, and the store a folder.

    The tests of the image run the real command.
    """

    SCRIPT = """#!/usr/bin/env bash
set -euo pipefail
cd "$PODMAN_STORE"
echo "$*" >> asked
case "${PODMAN_FAILS:-} $1" in
    "$1 $1") head --bytes 1 > /dev/null; exit 125 ;;
    *" save") cp "${@: -1}" "$6" ;;
    *" load")
        cat > "$TMPDIR/arriving"
        mv "$TMPDIR/arriving" loaded
        echo "${PODMAN_SAYS:-Loaded image: localhost/corolla:latest}" ;;
    *" run") cat > script; cat installed.json ;;
esac
"""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.store = folder / "store"
        (folder / "bin").mkdir(parents=True)
        self.store.mkdir()
        (folder / "bin" / "podman").write_text(self.SCRIPT)
        (folder / "bin" / "podman").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("PODMAN_STORE", str(self.store))
        monkeypatch.setenv("TMPDIR", str(folder))

    def asked(self) -> list[str]:
        """Return the commands that it was run with."""
        return (self.store / "asked").read_text().splitlines()
