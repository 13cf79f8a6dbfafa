"""The versions of a bundle are published all of them or none: on any fault the host stays as it was."""

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from convert.bundle.cli import main
from server.bundle.checksums import SBOM_FILE
from server.bundle.install import install_versions
from server.bundle.opening import open_bundle
from server.errors import BundleError
from server.models.catalog import load_catalog
from server.models.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, SIGNED_FILE, list_versions
from tests.convert.bundle.journey import IRIS_FILES, Journey, tree
from tests.support.fakes import DiskNotes
from tests.support.forked import end, fork, fork_with_little_disk
from tests.support.workshop import Workshop


def test_what_was_packed_is_published_and_served(journey: Journey, workshop: Workshop) -> None:
    assert journey.load() == 0
    assert list_versions(journey.models_dir) == {"iris": [1], "lily": [1]}
    assert tree(journey.models_dir / "iris") == tree(workshop.models_dir / "iris")
    assert list(load_catalog(journey.models_dir, 1, journey.key.trusted).models) == ["iris"]
    assert not (journey.models_dir / ".staging").exists()


def test_a_host_that_has_no_models_yet_gets_them(journey: Journey) -> None:
    shutil.rmtree(journey.models_dir.parent)
    assert journey.load() == 0
    assert list_versions(journey.models_dir) == {"iris": [1]}


def test_a_version_that_is_there_already_is_passed_over(
    journey: Journey, workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert journey.load() == 0
    shutil.copytree(workshop.version_dir, workshop.models_dir / "tulip" / "1", dirs_exist_ok=True)
    before = tree(journey.models_dir)
    capsys.readouterr()
    assert journey.load() == 0
    assert capsys.readouterr().err == "iris/1 was there already\n"
    assert tree(journey.models_dir) == before


@pytest.mark.parametrize("change", ["changed", "missing", "added"])
def test_another_content_under_the_same_number_is_refused_before_anything_is_written(
    journey: Journey, change: str
) -> None:
    assert journey.load() == 0
    file = journey.models_dir / "iris" / "1" / ("note" if change == "added" else "model.onnx")
    if change == "missing":
        file.unlink()
    else:
        file.write_bytes(b"mine")
    before = tree(journey.models_dir)
    assert journey.load() == 1
    assert tree(journey.models_dir) == before


def test_a_version_that_the_server_would_refuse_is_not_published(
    journey: Journey, refuses: Callable[[bytes], str]
) -> None:
    """The owner of the key has signed a bundle, but not the version in it."""
    members = {name: m for name, m in journey.members().items() if not name.startswith("SHA256SUMS")}
    unsigned = {name: m for name, m in members.items() if not name.endswith(".sig")}
    assert "manifest.sig cannot be read" in refuses(journey.sign_members(unsigned))
    members["models/iris/1/model.onnx"] += b"\n"
    assert "model.onnx is not what was published" in refuses(journey.sign_members(members))


def test_a_bundle_that_is_changed_behind_the_verification_publishes_nothing(
    journey: Journey, refuses: Callable[[bytes], str]
) -> None:
    sound = journey.bundle.read_bytes()
    for old, new in ((b"log_reg_1", b"log_reg_2"), (b'"iris"', b'"lily"'), (b"models/iris/1/model.onnx\n", b"x" * 25)):
        journey.bundle.write_bytes(sound)
        with open_bundle(journey.bundle, journey.key.trusted) as bundle:
            journey.bundle.write_bytes(sound.replace(old, new))
            with pytest.raises(BundleError):
                install_versions(bundle, journey.models_dir)
    journey.bundle.write_bytes(sound)
    another = journey.sign_members({SBOM_FILE: b"{}", "models/iris/1/model.onnx": b"of another bundle"})
    with open_bundle(journey.bundle, journey.key.trusted) as bundle:
        journey.bundle.write_bytes(another)
        with pytest.raises(BundleError, match="it was changed while it was read"):
            install_versions(bundle, journey.models_dir)
    refuses(sound[:-1])


def two_models(workshop: Workshop) -> int:
    """Publish a second model, rose, and return the length of its manifest, which no other file has."""
    folder = workshop.models_dir / "rose" / "1"
    shutil.copytree(workshop.version_dir, folder)
    (folder / SIGNED_FILE).unlink()
    manifest = (folder / MANIFEST_FILE).read_bytes().replace(b'"name": "iris"', b'"name": "rose"') + b" " * 1000
    (folder / MANIFEST_FILE).write_bytes(manifest)
    (folder / MANIFEST_SUM_FILE).write_text(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n")
    return len(manifest)


@pytest.mark.parametrize(("deadly", "code"), [(False, 1), (True, -signal.SIGXFSZ)], ids=["full disk", "killed"])
def test_a_load_cut_off_amid_a_file_publishes_nothing_and_the_next_clears_up(
    journey: Journey, workshop: Workshop, code: int, *, deadly: bool
) -> None:
    file_bytes = two_models(workshop) - 100
    assert journey.write(workshop) == 0
    before = tree(journey.models_dir)
    loading = fork_with_little_disk(main, "load", *journey.flags_of_loading(), file_bytes=file_bytes, deadly=deadly)
    assert end(loading) == code
    left = {path: content for path, content in tree(journey.models_dir).items() if not path.startswith(".staging")}
    assert left == before
    assert (journey.models_dir / ".staging").exists() == deadly
    assert journey.load() == 0
    assert list_versions(journey.models_dir) == {"iris": [1], "lily": [1], "rose": [1]}
    assert not (journey.models_dir / ".staging").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may mount a disk")
def test_a_disk_that_is_full_is_left_as_it_was(journey: Journey, workshop: Workshop) -> None:
    two_models(workshop)
    assert journey.write(workshop) == 0
    shutil.rmtree(journey.models_dir)
    journey.models_dir.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", journey.models_dir], check=True)
    try:
        assert journey.load() == 1
        assert tree(journey.models_dir) == {}
    finally:
        subprocess.run(["umount", journey.models_dir], check=True)


def load_until_second_rename(arguments: Sequence[str]) -> int:
    """Load, and be killed at the second rename."""
    rename = Path.rename
    renamed: list[Path] = []

    def rename_once(source: Path, target: Path) -> Path:
        if renamed:
            os.kill(os.getpid(), signal.SIGKILL)
        renamed.append(target)
        return rename(source, target)

    Path.rename = rename_once  # type: ignore[method-assign, assignment]
    return main(arguments)


def test_a_load_killed_between_two_versions_leaves_whole_ones_and_the_next_goes_on(
    journey: Journey, workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    two_models(workshop)
    assert journey.write(workshop) == 0
    assert end(fork(load_until_second_rename, "load", *journey.flags_of_loading())) == -signal.SIGKILL
    assert list(load_catalog(journey.models_dir, 1, journey.key.trusted).models) == ["iris"]
    capsys.readouterr()
    assert journey.load() == 0
    assert capsys.readouterr().err == "iris/1 was there already\nrose/1 is published\n"
    assert sorted(path.name for path in journey.models_dir.iterdir()) == ["iris", "lily", "rose"]


def test_a_failure_behind_the_first_rename_takes_it_back(journey: Journey, workshop: Workshop) -> None:
    two_models(workshop)
    assert journey.write(workshop) == 0
    (journey.models_dir / "rose").write_text("a file where the second model's folder should be")
    before = tree(journey.models_dir)
    assert journey.load() == 1
    assert tree(journey.models_dir) == before


def test_versions_take_their_places_when_all_of_them_are_on_the_disk(
    journey: Journey, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_models(workshop)
    assert journey.write(workshop) == 0
    notes = DiskNotes(monkeypatch, journey.models_dir)
    assert journey.load() == 0
    both = [f".staging/{name}/1" for name in ("iris", "rose")]
    assert notes.steps == [
        *(f"fsync {folder}/{file}" for folder in both for file in IRIS_FILES),
        *(f"fsync {folder}" for folder in both),
        *("rename .staging/iris/1 iris/1", "fsync iris", "rename .staging/rose/1 rose/1", "fsync rose", "fsync ."),
    ]
