"""A file with a private key -> signatures (Ed25519), and a new pair of keys; the only importer of cryptography.

Where bundles are only loaded, neither is needed: `server.models.trust` verifies.
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
    """Signs, and knows its public half.

    Attributes:
        private: The private key.
    """

    private: Ed25519PrivateKey = attrs.field(repr=False)

    @property
    def trusted(self) -> TrustedKeys:
        """Those who trust this key, and no other."""
        return TrustedKeys((self.private.public_key().public_bytes_raw(),))

    def sign(self, content: bytes) -> bytes:
        """Gives the signature over the content: 64 bytes, the same ones each time (RFC 8032)."""
        return self.private.sign(content)


def make_keys(path: Path) -> Path:
    """Writes a new private key, which its owner alone may read, and its public key beside it.

    Returns:
        The public key's file.

    Raises:
        FileExistsError: If one of them is there already; a key is never overwritten.
    """
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public_path = path.with_name(f"{path.name}.pub")
    for file, mode in ((public_path, 0o644), (path, 0o600)):
        file.touch(mode, exist_ok=False)
    public_path.write_bytes(public)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public_path


def read_signing_key(path: Path) -> SigningKey:
    """Reads a private key as `make_keys`, and ``openssl genpkey -algorithm ed25519``, write it.

    Raises:
        BundleError: If it cannot be read, asks for a password, or is another kind of key.
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
