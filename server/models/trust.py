"""Files of public keys -> TrustedKeys -> were these bytes signed by one of them? Ed25519; knows nothing of versions.

The library that verifies takes 3 MB of memory, so it is imported at the first question, which a server that trusts
everything never asks.
"""

import base64
import binascii
import re
from pathlib import Path

import attrs

SIGNED_BYTES = 64
"""How long an Ed25519 signature is (RFC 8032, 5.1.6)."""

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_BEGIN = re.compile("-----BEGIN ")
_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of every Ed25519 public key in its file: DER, RFC 8410, 4."""
_KEY_BYTES = 32


@attrs.frozen
class TrustedKeys:
    """Whose signatures count.

    Attributes:
        keys: The raw public keys, 32 bytes each.
    """

    keys: tuple[bytes, ...]

    def have_signed(self, content: bytes, signed: bytes) -> bool:
        """Says whether ``signed`` is the signature of one of the keys over ``content``."""
        from nacl.exceptions import BadSignatureError  # noqa: PLC0415  as the module's docstring says
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
    """Reads the public keys of a PEM file, or of every file in a folder whose name begins with no dot.

    Args:
        text: The path.

    Raises:
        ValueError: If there is no key, or anything that is none; the text says what was expected.
    """
    if not text:  # which as a path would be the folder that the process is in
        raise ValueError("a file or folder of Ed25519 public keys in PEM")
    path = Path(text)
    try:
        files = sorted(path.glob("[!.]*")) if path.is_dir() else [path]
        keys = [key for file in files for key in parse_public_keys(file.read_text("ascii"), file.name)]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"a readable file or folder of Ed25519 public keys in PEM ({error})") from error
    if not keys:
        raise ValueError("a file or folder with at least one Ed25519 public key in PEM")
    return TrustedKeys(tuple(keys))


def parse_public_keys(text: str, where: str) -> list[bytes]:
    """Gives the raw keys of a PEM file's text.

    Args:
        text: The file's text.
        where: The file's name, for the error.

    Raises:
        ValueError: If something in it is no Ed25519 public key, or nothing is one.
    """
    blocks = _PEM.findall(text)
    if not blocks or len(blocks) != len(_BEGIN.findall(text)):
        raise ValueError(f"nothing but public keys in PEM in {where}")
    return [_raw_key(block, where) for block in blocks]


def _raw_key(block: str, where: str) -> bytes:
    try:
        der = base64.b64decode("".join(block.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"a public key in base64 in {where} ({error})") from error
    if not der.startswith(_PREFIX) or len(der) != len(_PREFIX) + _KEY_BYTES:
        raise ValueError(f"an Ed25519 public key in {where}")
    return der.removeprefix(_PREFIX)
