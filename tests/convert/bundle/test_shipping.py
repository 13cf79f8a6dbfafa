"""An image travels as models do: with a bill of what is in it, verified, and loaded to its end or not at all."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from convert.bundle import inside
from convert.bundle.cli import main
from convert.bundle.inside import list_installed
from convert.bundle.keys import read_signing_key
from convert.bundle.podman import install_image, load_image
from convert.bundle.shipping import LOCK
from server.bundle.opening import open_bundle
from server.errors import BundleError
from tests.support.fakes import StandInPodman
from tests.support.workshop import Workshop

IMAGE = bytes(range(256)) * 10_000
STATUS = """Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2-1
Description: a shell
 Package: no field, but a line of the description

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""


@pytest.fixture
def root(tmp_path: Path, iris_workshop: Workshop) -> Path:
    """The files of an image that list what is installed in it."""
    root = tmp_path / "root"
    for file, text in (
        ("etc/os-release", 'ID=debian\nVERSION_CODENAME="trixie"\n'),
        ("var/lib/dpkg/status", STATUS),
        ("models/iris/1/manifest.json", iris_workshop.manifest().to_json().decode()),
    ):
        (root / file).parent.mkdir(parents=True)
        (root / file).write_text(text)
    return root


@pytest.fixture
def podman(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> StandInPodman:
    podman = StandInPodman(monkeypatch, tmp_path / "podman")
    (podman.store / "image").write_bytes(IMAGE)
    (podman.store / "installed.json").write_text(json.dumps(list_installed(root)))
    return podman


@pytest.fixture
def bundle(podman: StandInPodman, tmp_path: Path) -> Path:
    assert (podman.store / "image").read_bytes() == IMAGE
    (tmp_path / "out").mkdir()
    assert main(["keygen", str(tmp_path / "key")]) == 0
    assert main(["write", str(tmp_path / "out" / "b.tar"), "--key", str(tmp_path / "key"), "--image", "image"]) == 0
    return tmp_path / "out" / "b.tar"


def load(bundle: Path, *options: str) -> int:
    return main(["load", str(bundle), "--trusted-keys", str(bundle.parents[1] / "key.pub"), *options])


def test_an_image_is_loaded_as_it_was_saved(bundle: Path, podman: StandInPodman) -> None:
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]
    assert load(bundle) == 0
    assert (podman.store / "loaded").read_bytes() == IMAGE
    assert (podman.store / "script").read_bytes() == Path(inside.__file__).read_bytes()
    assert podman.asked()[-1] == "load"


def test_it_is_tagged_as_asked(bundle: Path, podman: StandInPodman, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(bundle, "--tag", "corolla:2") == 0
    assert podman.asked()[-1] == "tag localhost/corolla:latest corolla:2"
    assert capsys.readouterr().err.endswith("corolla:2 is loaded\n")


def test_a_spoilt_bundle_is_not_given_to_podman(bundle: Path, podman: StandInPodman) -> None:
    sound = bundle.read_bytes()
    for position in (600, len(sound) - 2000):
        bundle.write_bytes(sound[:position] + b"\xff" + sound[position + 1 :])
        assert load(bundle) == 1
    assert "load" not in podman.asked()


def test_an_image_that_is_changed_behind_the_verification_never_comes_to_its_end(
    bundle: Path, podman: StandInPodman, tmp_path: Path
) -> None:
    sound = bundle.read_bytes()
    with open_bundle(bundle, read_signing_key(tmp_path / "key").trusted) as opened:
        bundle.write_bytes(sound[:-3000] + b"\xff" + sound[-2999:])
        with pytest.raises(BundleError, match=r"image\.tar is not what was signed"):
            install_image(opened, "corolla:2")
    assert not (podman.store / "loaded").exists()
    assert not any(line.startswith("tag") for line in podman.asked())
    assert [path.name for path in (tmp_path / "podman").iterdir() if path.name.startswith("corolla-")] == []


@pytest.mark.parametrize("word", ["save", "run"])
def test_where_podman_fails_no_bundle_is_left(
    bundle: Path, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bundle.unlink()
    monkeypatch.setenv("PODMAN_FAILS", word)
    assert main(["write", str(bundle), "--key", str(tmp_path / "key"), "--image", "image"]) == 1
    assert capsys.readouterr().err.endswith(f"refused: podman {word} ended with 125\n")
    assert list(bundle.parent.iterdir()) == []


def test_where_podman_does_not_load_it_is_said(podman: StandInPodman, monkeypatch: pytest.MonkeyPatch) -> None:
    def chunks() -> Iterator[bytes]:
        return iter([IMAGE] * 3)

    monkeypatch.setenv("PODMAN_SAYS", "nothing that is known")
    with pytest.raises(BundleError, match="podman load ended with 0, and loaded nothing"):
        load_image(chunks())
    monkeypatch.setenv("PODMAN_FAILS", "load")
    with pytest.raises(BundleError, match="podman load ended with 125, and loaded nothing"):
        load_image(chunks())
    assert podman.asked() == ["load", "load"]


def test_where_there_is_no_podman_it_is_said(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(bundle.parent))
    assert load(bundle) == 1
    assert "No such file or directory: 'podman'" in capsys.readouterr().err


def test_what_is_installed_is_listed_by_a_script_that_needs_no_project(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-", str(root)]
    with Path(inside.__file__).open("rb") as script:
        listed = subprocess.run(command, stdin=script, cwd=tmp_path, check=True, capture_output=True).stdout
    installed = json.loads(listed)
    assert installed["deb"] == [{"name": "bash", "version": "5.2-1", "architecture": "amd64"}]
    assert installed["distribution"] == {"id": "debian", "release": "trixie"}
    command = [sys.executable, inside.__file__, str(root)]
    assert json.loads(subprocess.run(command, check=True, capture_output=True).stdout) == installed


def components(bill: str) -> dict[str, dict[str, Any]]:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    return {component["bom-ref"]: component for component in json.loads(bill)["components"]}


def test_the_bill_names_all_that_is_installed(podman: StandInPodman, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sbom", "image"]) == 0
    found = components(capsys.readouterr().out)
    packages = {f"pkg:pypi/{d.name.lower().replace('_', '-').replace('.', '-')}@{d.version}" for d in distributions()}
    python = "pkg:generic/python@" + ".".join(map(str, sys.version_info[:3]))
    debian = "pkg:deb/debian/bash@5.2-1?arch=amd64&distro=trixie"
    assert set(found) == {*packages, python, debian, "models/iris/1"}
    assert podman.asked() == [podman.asked()[0]]


def test_the_bill_tells_licences_and_the_hashes_of_the_lock(
    podman: StandInPodman, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = json.loads((podman.store / "installed.json").read_text())
    assert {"name": "attrs", "version": version("attrs"), "licences": ["MIT"]} in installed["pypi"]
    installed["pypi"].append({"name": "Two_Licences", "version": "1", "licences": ["MIT License", "Zope"]})
    (podman.store / "installed.json").write_text(json.dumps(installed))
    assert main(["sbom", "image"]) == 0
    found = components(capsys.readouterr().out)
    attrs = found[f"pkg:pypi/attrs@{version('attrs')}"]
    assert attrs["licenses"] == [{"license": {"id": "MIT"}}] or attrs["licenses"][0]["license"]["id"] == "MIT"
    hashes = {hashed["content"] for hashed in attrs["externalReferences"][0]["hashes"]}
    assert hashes
    assert all(f"--hash=sha256:{digest}" in LOCK.read_text() for digest in hashes)
    assert "externalReferences" not in found["pkg:pypi/two-licences@1"]
    names = [entry["license"]["name"] for entry in found["pkg:pypi/two-licences@1"]["licenses"]]
    assert names == ["MIT License", "Zope"]
