"""Ed25519 keys: make a pair, read a private key, sign; the only importer of cryptography.

Verifying needs neither this file nor cryptography: `server.models.trust` does it.
"""

from pathlib import Path

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from server.errors import BundleError
from server.models.trust import TrustedKeys


@attrs.frozen
class SigningKey:
    """A private key that signs.

    Attributes:
        private: The private key.
    """

    private: Ed25519PrivateKey = attrs.field(repr=False)

    @property
    def trusted(self) -> TrustedKeys:
        """The public key, as the only trusted one."""
        return TrustedKeys((self.private.public_key().public_bytes_raw(),))

    def sign(self, content: bytes) -> bytes:
        """Return the signature of the content: 64 bytes, the same each time (RFC 8032)."""
        return self.private.sign(content)


def make_keys(path: Path) -> Path:
    """Write a new private key, readable by its owner alone, and its public key beside it.

    Returns:
        The path of the public key.

    Raises:
        FileExistsError: If one of the files exists; a key is never overwritten.
    """
    public_path = path.with_name(f"{path.name}.pub")
    for file in (path, public_path):
        if file.exists():
            raise FileExistsError(f"{file} exists; keys are never overwritten: name another, `just keygen OTHER.key`")
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for file, mode in ((public_path, 0o644), (path, 0o600)):
        file.touch(mode, exist_ok=False)
    public_path.write_bytes(public)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public_path


def read_signing_key(path: Path) -> SigningKey:
    """Read a private key as `make_keys`, or ``openssl genpkey -algorithm ed25519``, writes it.

    Raises:
        BundleError: If it cannot be read, has a password, or is another kind of key.
    """
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BundleError(
            f"the signing key {path} cannot be read: {error.strerror}; `python -m convert.bundle keygen` makes one"
        ) from error
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:  # TypeError: there is a password
        raise BundleError(f"expected an Ed25519 private key in PEM without a password in {path}: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise BundleError(f"expected an Ed25519 private key in {path}, got a {type(private).__name__}")
    return SigningKey(private)
