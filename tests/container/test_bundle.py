"""An image's bill of materials, and its way in a bundle, by the real podman."""

import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from convert.bundle.cli import main
from convert.bundle.keys import read_signing_key
from convert.bundle.podman import install_image
from server.bundle.opening import open_bundle
from server.errors import BundleError
from tests.support.container_process import packages_of, podman, run_as_root, serving_in_container
from tests.support.workshop import Workshop


@pytest.fixture
def bill(image: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["sbom", image]) == 0
    return capsys.readouterr().out


@pytest.fixture
def own_image(image: str) -> Iterator[str]:
    """The image once more, with one file in it that makes it another, under a name that nobody else uses."""
    name = f"localhost/corolla-carried-{secrets.token_hex(4)}:latest"
    container = podman("create", "--pull=never", "--no-healthcheck", image)
    podman("cp", str(Path(__file__)), f"{container}:/opt/corolla/added")
    podman("commit", "--quiet", "--format", "docker", container, name)
    podman("rm", container)
    yield name
    subprocess.run(["podman", "rmi", "--force", name], check=False, capture_output=True)


@pytest.fixture
def bundle(own_image: str, tmp_path: Path) -> Path:
    assert main(["keygen", str(tmp_path / "key")]) == 0
    assert main(["write", str(tmp_path / "b.tar"), "--key", str(tmp_path / "key"), "--image", own_image]) == 0
    podman("rmi", own_image)
    return tmp_path / "b.tar"


def load(bundle: Path) -> int:
    return main(["load", str(bundle), "--trusted-keys", str(bundle.with_name("key.pub"))])


def has(image: str) -> bool:
    return subprocess.run(["podman", "image", "exists", image], check=False).returncode == 0


def test_the_bill_keeps_to_the_schema(bill: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None


def test_the_bill_is_equal_to_what_is_installed(image: str, bill: str) -> None:
    components = json.loads(bill)["components"]
    listed = {kind: set[str]() for kind in ("pypi", "deb", "generic")}
    for component in components:
        if match := re.match(r"pkg:(\w+)/", component.get("purl", "")):
            listed[match[1]].add(f"{component['name']}=={component['version']}")
    assert listed["pypi"] == {f"{name}=={version}" for name, version in packages_of(image).items()}
    debian = run_as_root(image, "dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}==${Version}\n")
    assert listed["deb"] == {line.split()[1] for line in debian.splitlines() if line.startswith("installed ")}
    python = run_as_root(image, "/opt/corolla/bin/python3", "-c", "import platform; print(platform.python_version())")
    assert listed["generic"] == {f"python=={python}"}
    assert len(components) == sum(map(len, listed.values()))


def test_every_package_has_a_licence_and_the_locks_hashes(bill: str) -> None:
    for component in json.loads(bill)["components"]:
        if component.get("purl", "").startswith("pkg:pypi/"):
            assert component["licenses"], component["name"]
            assert component["externalReferences"][0]["hashes"], component["name"]


def test_an_image_is_carried_and_serves(bundle: Path, own_image: str, iris_workshop: Workshop) -> None:
    assert not has(own_image)
    assert load(bundle) == 0
    with serving_in_container(own_image, iris_workshop.models_dir) as server:
        assert server.stop() == 0


def test_a_spoilt_bundle_brings_no_image(bundle: Path, own_image: str) -> None:
    sound = bundle.read_bytes()
    for spoilt in (sound[:-1], sound + b"\0", sound[: len(sound) // 2], sound[:-5000] + b"\xff" + sound[-4999:]):
        bundle.write_bytes(spoilt)
        assert load(bundle) == 1
        assert not has(own_image)


def test_an_image_that_is_changed_behind_the_verification_is_not_loaded(bundle: Path, own_image: str) -> None:
    size_bytes = bundle.stat().st_size
    with open_bundle(bundle, read_signing_key(bundle.with_name("key")).trusted) as opened:
        with bundle.open("r+b") as file:  # the padding of the archive's end, which podman would not miss
            file.seek(size_bytes - 1030)
            file.write(b"\xff")
        with pytest.raises(BundleError, match=r"image\.tar is not what was signed"):
            install_image(opened, None)
    assert not has(own_image)


def test_a_store_without_room_takes_nothing_and_leaves_nothing(
    bundle: Path, own_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "small"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], check=True)
    try:
        assert load(bundle) == 1
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", place], check=True)
    assert not has(own_image)


def test_a_store_without_room_has_no_image_and_takes_one_when_it_has(
    bundle: Path, own_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    settings = tmp_path / "storage.conf"
    settings.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{store}"\nrunroot = "{tmp_path}/run"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(settings))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", store], check=True)
    try:
        assert load(bundle) == 1
        assert podman("images", "--all", "--quiet") == ""
        subprocess.run(["mount", "-o", "remount,size=500m", store], check=True)
        assert load(bundle) == 0
        assert has(own_image)
    finally:
        subprocess.run(["umount", "--recursive", store], check=True)


def test_the_containers_server_takes_trusted_keys(
    image: str, workshop: Workshop, tmp_path: Path, iris_workshop: Workshop
) -> None:
    """Signed, it serves in the sealed container; unsigned, the container ends before it listens."""
    assert main(["keygen", str(tmp_path / "key")]) == 0
    assert main(["sign", "--key", str(tmp_path / "key"), "--models-dir", str(workshop.models_dir)]) == 0
    keys = [f"--volume={tmp_path}/key.pub:/key.pub:ro", "--env=COROLLA_TRUSTED_KEYS=/key.pub"]
    with serving_in_container(image, workshop.models_dir, limits=keys) as server:
        assert '"signed versions only"' in server.log_file.read_text()
        assert server.stop() == 0
    with (
        pytest.raises(RuntimeError, match=r"manifest\.sig cannot be read"),
        serving_in_container(image, iris_workshop.models_dir, limits=keys),
    ):
        pass
