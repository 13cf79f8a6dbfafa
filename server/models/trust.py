"""Reads trusted Ed25519 public keys, and verifies signatures with them.

The library that verifies takes 3 MB of memory. It is imported at the first verification, so that a server which
requires no signatures never loads it.
"""

import base64
import binascii
import re
from pathlib import Path

import attrs

SIGNED_BYTES = 64
"""The length of an Ed25519 signature (RFC 8032, 5.1.6)."""

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_BEGIN = re.compile("-----BEGIN ")
_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""The DER prefix before the 32 bytes of every Ed25519 public key (RFC 8410, 4)."""
_KEY_BYTES = 32


@attrs.frozen
class TrustedKeys:
    """The public keys whose signatures are trusted.

    Attributes:
        keys: The raw public keys, 32 bytes each.
    """

    keys: tuple[bytes, ...]

    def have_signed(self, content: bytes, signed: bytes) -> bool:
        """Return True if ``signed`` is the signature of one of the keys over ``content``."""
        from nacl.exceptions import BadSignatureError  # noqa: PLC0415  see the module's docstring
        from nacl.signing import VerifyKey  # noqa: PLC0415

        if len(signed) != SIGNED_BYTES:
            return False
        for key in self.keys:
            try:
                VerifyKey(key).verify(content, signed)
            except BadSignatureError:
                continue
            return True
        return False

    def __str__(self) -> str:
        return f"{len(self.keys)} trusted {'key' if len(self.keys) == 1 else 'keys'}"


def read_trusted_keys(text: str) -> TrustedKeys:
    """Read the public keys of a PEM file, or of every file in a folder; names that begin with a dot are ignored.

    Args:
        text: The path.

    Raises:
        ValueError: If there is no key, or anything else than keys; the text says what was expected.
    """
    if not text:  # an empty path would be the current folder
        raise ValueError("a file or folder of Ed25519 public keys in PEM")
    path = Path(text)
    try:
        files = sorted(path.glob("[!.]*")) if path.is_dir() else [path]
        keys = [key for file in files for key in parse_public_keys(file.read_text("ascii"), file)]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"a readable file or folder of Ed25519 public keys in PEM ({error})") from error
    if not keys:
        raise ValueError("a file or folder with at least one Ed25519 public key in PEM")
    return TrustedKeys(tuple(keys))


def parse_public_keys(text: str, file: Path) -> list[bytes]:
    """Return the raw keys in the text of a PEM file.

    Args:
        text: The text of the file.
        file: The file, for the error.

    Raises:
        ValueError: If a key is not an Ed25519 public key, or there is none.
    """
    blocks = _PEM.findall(text)
    if not blocks or len(blocks) != len(_BEGIN.findall(text)):
        raise ValueError(f"nothing but public keys in PEM in {file.name}{_advise(text, file)}")
    return [_raw_key(block, file.name) for block in blocks]


def _advise(text: str, file: Path) -> str:
    if "PRIVATE KEY-----" not in text:
        return ""
    public = file.with_name(f"{file.name}.pub")
    return f", which holds a private key{f'; {public.name} holds the public one' if public.exists() else ''}"


def _raw_key(block: str, where: str) -> bytes:
    try:
        der = base64.b64decode("".join(block.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"a public key in base64 in {where} ({error})") from error
    if not der.startswith(_PREFIX) or len(der) != len(_PREFIX) + _KEY_BYTES:
        raise ValueError(f"an Ed25519 public key in {where}")
    return der.removeprefix(_PREFIX)
