"""A version is signed if the server would serve it; with trusted keys, only signed versions are served."""

import hashlib
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from convert.bundle.cli import main
from convert.bundle.keys import SigningKey, make_keys, read_signing_key
from convert.bundle.signing import sign_newest, sign_version
from server.bundle.checksums import VersionKey
from server.errors import BundleError, NoSoundVersionError, RefusedError
from server.models.catalog import load_catalog, load_model
from server.models.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, MODEL_FILE, SIGNED_FILE
from tests.support.server_process import STOP_S, read_log, serving, start
from tests.support.versions import add_version
from tests.support.workshop import IRIS_ROW, Workshop

IRIS_1 = VersionKey("iris", 1)


@pytest.fixture
def key() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.generate())


@pytest.fixture
def signed(workshop: Workshop, key: SigningKey) -> Workshop:
    """The workshop, with its version signed."""
    assert sign_version(workshop.models_dir, IRIS_1, key)
    return workshop


def test_a_signed_version_is_loaded_by_those_who_trust_the_key(signed: Workshop, key: SigningKey) -> None:
    assert load_model(signed.version_dir, "iris", 1, threads=1, trusted=key.trusted).manifest == signed.manifest()
    assert not sign_version(signed.models_dir, IRIS_1, key)
    assert sorted(path.name for path in signed.version_dir.iterdir()) == [
        "certificate.json",
        "manifest.json",
        "manifest.json.sha256",
        "manifest.sig",
        "model.onnx",
        "report.html",
    ]


def unsigned(folder: Path) -> None:
    (folder / SIGNED_FILE).unlink()


def by_another(folder: Path) -> None:
    another = Ed25519PrivateKey.generate()
    (folder / SIGNED_FILE).write_bytes(another.sign((folder / MANIFEST_FILE).read_bytes()))


def one_bit(folder: Path) -> None:
    signed = bytearray((folder / SIGNED_FILE).read_bytes())
    signed[40] ^= 1
    (folder / SIGNED_FILE).write_bytes(signed)


def another_manifest(folder: Path) -> None:
    """A forger who can write everything but signatures."""
    manifest = (folder / MANIFEST_FILE).read_bytes().replace(b"log_reg_1", b"log_reg_2")
    (folder / MANIFEST_FILE).write_bytes(manifest)
    (folder / MANIFEST_SUM_FILE).write_text(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n")


def another_model(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes() + b"\n")


NOT_BY_A_KEY = "manifest.sig is not the signature of manifest.json by one of 1 trusted key"
SPOILT = {
    unsigned: "manifest.sig cannot be read: No such file or directory",
    by_another: NOT_BY_A_KEY,
    one_bit: NOT_BY_A_KEY,
    another_manifest: NOT_BY_A_KEY,
    another_model: "model.onnx is not what was published: ",
}


@pytest.mark.parametrize(("spoil", "reason"), SPOILT.items(), ids=[spoil.__name__ for spoil in SPOILT])
def test_a_version_that_is_not_signed_as_it_is_is_refused_and_an_older_one_served(
    signed: Workshop, key: SigningKey, spoil: Callable[[Path], None], reason: str
) -> None:
    folder = add_version(signed, 2)
    sign_version(signed.models_dir, VersionKey("iris", 2), key)
    assert load_catalog(signed.models_dir, 1, key.trusted).models["iris"].manifest.version == 2
    spoil(folder)
    catalog = load_catalog(signed.models_dir, 1, key.trusted)
    assert catalog.models["iris"].manifest.version == 1
    (refusal,) = catalog.refusals
    assert (refusal.name, refusal.version) == ("iris", 2)
    assert refusal.reason.startswith(reason)


def test_a_signature_does_not_hold_for_another_number(signed: Workshop, key: SigningKey) -> None:
    shutil.copytree(signed.version_dir, signed.models_dir / "iris" / "9")
    catalog = load_catalog(signed.models_dir, 1, key.trusted)
    assert catalog.refusals[0].reason == "manifest.json is of iris/1, its folder is iris/9"
    assert catalog.models["iris"].manifest.version == 1


def test_where_nothing_is_signed_nothing_is_served(workshop: Workshop, key: SigningKey) -> None:
    with pytest.raises(NoSoundVersionError):
        load_catalog(workshop.models_dir, 1, key.trusted)


def test_a_version_with_another_signature_is_not_signed_anew(signed: Workshop) -> None:
    before = (signed.version_dir / SIGNED_FILE).read_bytes()
    with pytest.raises(BundleError, match=r"manifest.sig is not by this key"):
        sign_version(signed.models_dir, IRIS_1, SigningKey(Ed25519PrivateKey.generate()))
    assert (signed.version_dir / SIGNED_FILE).read_bytes() == before


def test_a_version_that_is_not_sound_is_not_signed(workshop: Workshop, key: SigningKey) -> None:
    another_model(workshop.version_dir)
    with pytest.raises(RefusedError):
        sign_version(workshop.models_dir, IRIS_1, key)
    assert not (workshop.version_dir / SIGNED_FILE).exists()


def test_what_a_killed_one_left_is_no_hindrance(workshop: Workshop, key: SigningKey) -> None:
    (workshop.version_dir / ".staging").write_bytes(b"half of one")
    assert sign_version(workshop.models_dir, IRIS_1, key)
    assert not (workshop.version_dir / ".staging").exists()


def test_the_newest_are_signed_and_nothing_is_an_error(signed: Workshop, key: SigningKey, tmp_path: Path) -> None:
    add_version(signed, 2)
    assert sign_newest(signed.models_dir, key) == {VersionKey("iris", 2): True}
    assert sign_newest(signed.models_dir, key) == {VersionKey("iris", 2): False}
    with pytest.raises(BundleError, match=r"nothing to sign in .*nowhere"):
        sign_newest(tmp_path / "nowhere", key)


def test_keys_are_made_once_and_only_their_owner_reads_the_private_one(tmp_path: Path) -> None:
    public = make_keys(tmp_path / "corolla.key")
    assert stat.S_IMODE((tmp_path / "corolla.key").stat().st_mode) == 0o600
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for lost, kept in ((public, tmp_path / "corolla.key"), (tmp_path / "corolla.key", public)):
        lost.unlink()
        refusal = f"^{re.escape(str(kept))} exists; keys are never overwritten: name another, `just keygen OTHER.key`$"
        with pytest.raises(FileExistsError, match=refusal):
            make_keys(tmp_path / "corolla.key")
        assert not lost.exists()
        for path, content in before.items():
            path.write_bytes(content)


def test_a_key_shows_itself_to_no_log(key: SigningKey) -> None:
    assert repr(key) == "SigningKey()"


def test_what_is_no_signing_key_is_refused(tmp_path: Path) -> None:
    def text(private: Ed25519PrivateKey, locked: pem.KeySerializationEncryption) -> bytes:
        return private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, locked)

    other = generate_private_key(SECP256R1())
    files = {
        "locked": text(Ed25519PrivateKey.generate(), pem.BestAvailableEncryption(b"word")),
        "other": other.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()),
        "none": b"no key",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BundleError, match="expected an Ed25519 private key in"):
            read_signing_key(tmp_path / name)
    with pytest.raises(BundleError, match="cannot be read: No such file"):
        read_signing_key(tmp_path / "nowhere")


def test_a_server_with_trusted_keys_serves_the_newest_signed_version(workshop: Workshop, tmp_path: Path) -> None:
    main(["keygen", str(tmp_path / "key")])
    assert main(["sign", "--key", str(tmp_path / "key"), "--models-dir", str(workshop.models_dir)]) == 0
    add_version(workshop, 2)
    with serving(workshop.models_dir, environment={"COROLLA_TRUSTED_KEYS": str(tmp_path / "key.pub")}) as server:
        assert httpx.post(f"{server.url}/iris/predict", json=dict(IRIS_ROW)).status_code == 200
        refused = next(line for line in server.log() if line["message"] == "version refused")
        loaded = next(line for line in server.log() if line["message"] == "version loaded")
        assert any(line["message"] == "signed versions only" for line in server.log())
        assert (refused["version"], loaded["version"]) == (2, 1)
        assert refused["reason"].startswith("manifest.sig cannot be read")
        assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_trusts_another_key_serves_nothing(signed: Workshop, tmp_path: Path, workers: str) -> None:
    make_keys(tmp_path / "key")
    flags = ["--trusted-keys", str(tmp_path / "key.pub"), "--workers", workers]
    process = start(tmp_path / "log", "--models-dir", str(signed.models_dir), "--port", "0", *flags)
    assert process.wait(STOP_S) == 1
    assert any(NOT_BY_A_KEY in str(line) for line in read_log(tmp_path / "log"))


def test_a_server_whose_keys_cannot_be_read_does_not_start(iris_workshop: Workshop, tmp_path: Path) -> None:
    process = start(
        tmp_path / "log",
        "--models-dir",
        str(iris_workshop.models_dir),
        "--port",
        "0",
        COROLLA_TRUSTED_KEYS=str(tmp_path / "nowhere"),
    )
    assert process.wait(STOP_S) == 2
    (line,) = read_log(tmp_path / "log")
    assert line["message"].startswith("bad setting: COROLLA_TRUSTED_KEYS: expected a readable file or folder")
