"""Secrets at rest: AES-256-GCM under keys from a file; the first key encrypts, all decrypt.

A secret is bound to its place (organization, collection, field, id), so that moving it elsewhere breaks it.
"""

import base64
import hmac
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.errors import Misconfigured

KEY_BYTES = 32
_NONCE_BYTES = 12
_FILE = "secret_keys"


class SecretKeys:
    """The keys of this installation. Raises `Misconfigured` if there is none, or one of the wrong length."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise Misconfigured(f"The secret keys must be {KEY_BYTES} bytes each, base64, one a line.")
        self._ciphers = tuple(AESGCM(key) for key in keys)
        # A key of its own, so that one key never serves two algorithms.
        self._marking_keys = [hmac.digest(key, b"fairway fingerprints", "sha256") for key in keys]

    def fingerprint(self, text: bytes) -> str:
        """Return a digest of *text* that nobody without the first key can make (HMAC-SHA-256).

        For telling whether two texts are the same where a plain hash could be guessed from, as of a password.
        """
        return hmac.digest(self._marking_keys[0], text, "sha256").hex()

    def is_fingerprint(self, text: bytes, digest: str) -> bool:
        """Tell whether *digest* is what one of our keys made of *text*."""
        made = [hmac.digest(key, text, "sha256").hex() for key in self._marking_keys]
        return any([hmac.compare_digest(one, digest) for one in made])  # noqa: C419 (all are compared)

    @classmethod
    def load(cls, path: Path | None, *, data_dir: Path, production: bool) -> "SecretKeys":
        """Read the keys; in development a missing file is made with mode 0600.

        Raises `Misconfigured` if the file can't be read, holds no keys, or is missing in production.
        """
        if path is None and production:
            raise Misconfigured("Set FAIRWAY_SECRET_KEYS_FILE to a file of 32-byte keys, base64, one a line.")
        file = path or data_dir / _FILE
        if path is None and not file.exists():
            _make(file)
        try:
            lines = file.read_text(encoding="ascii").split()
            return cls([base64.b64decode(line, validate=True) for line in lines])
        except OSError as error:
            raise Misconfigured(f"The file of secret keys can't be read: {error}.") from error
        except ValueError:  # its text may hold what it could not read
            raise Misconfigured("The file of secret keys holds something that is not base64.") from None

    # The id of a record is called id everywhere else.
    def encrypt(self, plain: bytes, *, org_id: str, collection: str, field: str, id: str) -> bytes:  # noqa: A002
        """Encrypt *plain* for its place, under the first key."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, plain, _place(org_id, collection, field, id))

    def decrypt(self, sealed: bytes, *, org_id: str, collection: str, field: str, id: str) -> bytes:  # noqa: A002
        """Decrypt what `encrypt` made for the same place. Raises `Misconfigured` if no key fits."""
        place = _place(org_id, collection, field, id)
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
            except (InvalidTag, ValueError):  # not under this key, or too short to be a secret at all
                continue
        raise Misconfigured(f"No key in FAIRWAY_SECRET_KEYS_FILE decrypts {collection}.{field}. Was one removed?")


def _place(*parts: str) -> bytes:
    return orjson.dumps(parts)


def _make(file: Path) -> None:
    """Make a file with one new key; of several processes that try at once, the first one's stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
        out.flush()
        os.fsync(out.fileno())
    with suppress(FileExistsError):  # another process was first: its key is the one
        os.link(partial, file)
    partial.unlink()
    _sync(file.parent)


def _sync(folder: Path) -> None:
    """Make the name last: what is encrypted under a key that a power cut took is lost for good."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
