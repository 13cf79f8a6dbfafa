"""Files and folders are synced to the disk, with all of their content."""

from pathlib import Path

import pytest

from server.disk import sync_folder, write_file
from tests.support.fakes import DiskNotes


def test_a_file_is_synced_with_all_of_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = DiskNotes(monkeypatch, tmp_path)
    write_file(tmp_path / "facts", b"a few bytes, fewer than a buffer holds")
    assert notes.steps == ["fsync facts"]
    assert notes.synced_bytes == {"facts": 38}
    assert (tmp_path / "facts").read_bytes() == b"a few bytes, fewer than a buffer holds"


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    write_file(tmp_path / "facts", b"first")
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "facts", b"second")
    assert (tmp_path / "facts").read_bytes() == b"first"


def test_a_folder_is_synced_and_its_descriptor_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    notes = DiskNotes(monkeypatch, tmp_path)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    sync_folder(tmp_path / "folder")
    assert notes.steps == ["fsync folder"]
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
