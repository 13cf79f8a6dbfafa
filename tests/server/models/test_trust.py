"""Public keys are parsed strictly, and a signature is valid for one key and one content."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.errors import SettingsError
from server.models.trust import TrustedKeys, read_trusted_keys
from server.settings import Settings, read_settings
from tests.support.server_process import ROOT, SERVING

CONTENT = b"the manifest"


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A key pair made by openssl alone."""
    openssl("genpkey", "-algorithm", "ed25519", "-out", tmp_path / "private.pem")
    openssl("pkey", "-in", tmp_path / "private.pem", "-pubout", "-out", tmp_path / "public.pem")
    return tmp_path / "private.pem"


@pytest.fixture
def public(private: Path) -> Path:
    return private.with_name("public.pem")


def test_a_signature_by_openssl_is_valid_for_a_key_by_openssl(private: Path, public: Path) -> None:
    content, signed = private.with_name("content"), private.with_name("signed")
    content.write_bytes(CONTENT)
    openssl("pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", content, "-out", signed)
    trusted = read_trusted_keys(str(public))
    assert trusted.have_signed(CONTENT, signed.read_bytes())
    assert not trusted.have_signed(CONTENT + b"\n", signed.read_bytes())


def test_a_signature_with_a_changed_bit_is_invalid(public: Path) -> None:
    private = Ed25519PrivateKey.generate()
    trusted = TrustedKeys((*read_trusted_keys(str(public)).keys, private.public_key().public_bytes_raw()))
    signed = private.sign(CONTENT)
    assert trusted.have_signed(CONTENT, signed)
    for bit in range(8 * len(signed)):
        spoilt = bytearray(signed)
        spoilt[bit // 8] ^= 1 << bit % 8
        assert not trusted.have_signed(CONTENT, bytes(spoilt))


@pytest.mark.parametrize("signed", [b"", bytes(63), bytes(64), bytes(65)])
def test_bytes_that_are_not_a_signature_are_invalid_without_an_error(public: Path, signed: bytes) -> None:
    assert not read_trusted_keys(str(public)).have_signed(CONTENT, signed)


def test_a_key_of_low_order_verifies_nothing() -> None:
    """With the neutral element as the key, the bare equation would hold for any content."""
    neutral = (1).to_bytes(32, "little")
    assert not TrustedKeys((neutral,)).have_signed(CONTENT, neutral + bytes(32))


def test_a_folder_and_a_file_of_several_keys_are_all_trusted(public: Path, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    for name in ("a.pem", "b.pub"):
        (folder / name).write_bytes(public.read_bytes())
    (folder / ".hidden").write_text("an editor's")
    (tmp_path / "both.pem").write_text(f"my own:\n{public.read_text()}{public.read_text()}")
    (key,) = read_trusted_keys(str(public)).keys
    assert read_trusted_keys(str(folder)).keys == read_trusted_keys(str(tmp_path / "both.pem")).keys == (key, key)


def rsa(folder: Path) -> str:
    openssl("genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", folder / "rsa")
    openssl("pkey", "-in", folder / "rsa", "-pubout", "-out", folder / "rsa.pub")
    return (folder / "rsa.pub").read_text()


def test_a_file_with_anything_but_public_keys_is_refused(private: Path, public: Path, tmp_path: Path) -> None:
    sound = public.read_text()
    key = "\n".join(sound.splitlines()[1:-1])
    refused = {
        "": "nothing but public keys in PEM in keys",
        "no key": "nothing but public keys in PEM in keys",
        private.read_text(): "nothing but public keys in PEM in keys",
        sound + private.read_text(): "nothing but public keys in PEM in keys",
        sound + "-----BEGIN PUBLIC KEY-----\n": "nothing but public keys in PEM in keys",
        sound.replace(key, "A"): "a public key in base64 in keys",
        sound.replace(key, key[:-4]): "an Ed25519 public key in keys",
        sound.replace(key, key + "AAAA"): "a public key in base64 in keys",
        sound.replace(
            key, "MCowBQYDK2VuAyEA" + key[16:]
        ): "an Ed25519 public key in keys",  # the algorithm identifier of X25519
        rsa(tmp_path): "an Ed25519 public key in keys",
        "é": "a readable file or folder of Ed25519 public keys in PEM",
    }
    for text, expected in refused.items():
        (tmp_path / "keys").write_text(text)
        with pytest.raises(ValueError, match=f"^{expected}"):
            read_trusted_keys(str(tmp_path / "keys"))


def test_a_private_key_is_named_as_one_with_the_public_key_beside_it(private: Path, public: Path) -> None:
    expected = "nothing but public keys in PEM in private.pem, which holds a private key"
    with pytest.raises(ValueError, match=f"^{expected}$"):
        read_trusted_keys(str(private))
    public.rename(f"{private}.pub")
    with pytest.raises(ValueError, match=f"^{expected}; private.pem.pub holds the public one$"):
        read_trusted_keys(str(private))


@pytest.mark.parametrize("path", ["", "nowhere", "empty"])
def test_a_setting_without_a_key_is_refused_and_named(path: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"^COROLLA_TRUSTED_KEYS: expected a .*file or folder "):
        read_settings([], {"COROLLA_TRUSTED_KEYS": path and str(tmp_path / path)})


def test_a_folder_with_one_bad_key_trusts_none(public: Path, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "good.pem").write_bytes(public.read_bytes())
    (folder / "ill.pem").write_text("no key")
    with pytest.raises(SettingsError, match=r"nothing but public keys in PEM in ill\.pem"):
        read_settings(["--trusted-keys", str(folder)], {})


def test_the_setting_holds_the_keys_and_shows_their_number(public: Path) -> None:
    settings = read_settings(["--trusted-keys", str(public)], {})
    assert settings == Settings(trusted_keys=read_trusted_keys(str(public)))
    assert str(settings.trusted_keys) == "1 trusted key"
    assert str(TrustedKeys((b"", b""))) == "2 trusted keys"


def test_no_crypto_library_is_loaded_at_start() -> None:
    script = f"import sys, {SERVING}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(shown.stdout.split()) & {"nacl", "cryptography", "cyclonedx"} == set()
