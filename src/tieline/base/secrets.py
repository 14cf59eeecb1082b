"""Keys, tokens and passwords: made here, hashed or encrypted before anything is stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from pathlib import Path

from cryptography.fernet import Fernet

from tieline.base import trees

EXTERNAL_DIGITS = 32  # 128 bits; AWS takes 2 to 1224 characters
KEY_BYTES = 24  # 192 bits: as good as a UUID is unique, and far beyond guessing


def new_id(prefix: str) -> str:
    """An id that nobody can guess from another one."""
    return f"{prefix}-{secrets.token_hex(8)}"


def new_api_key() -> str:
    """A key for the REST interface; it is shown once, and only its hash is stored."""
    return f"tlk_{secrets.token_urlsafe(KEY_BYTES)}"


def hashed(token: str) -> str:
    """The hash under which a token is stored: tokens are random, so that no salt or stretching is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def matches(token: str, expected: str) -> bool:
    """Whether a token has this hash, in constant time."""
    return hmac.compare_digest(hashed(token), expected)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    trees.write(path, text.encode())


class Vault:
    """Encrypts with a key that lives beside the store, not in it, and derives the deployments' join tokens from it."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._fernet = Fernet(key)

    @classmethod
    def open(cls, path: Path) -> Vault:
        """The vault of a key file, which is made at first use; raises ValueError where the file holds no key."""
        if not path.exists():
            write_private(path, Fernet.generate_key().decode())
        return cls(path.read_bytes().strip())

    def encrypt(self, text: str) -> str:
        """Ciphertext; the empty text stays empty, so that "no password" can be told apart."""
        return self._fernet.encrypt(text.encode()).decode() if text else ""

    def decrypt(self, ciphertext: str) -> str:
        """The text again; raises InvalidToken where another key encrypted it."""
        return self._fernet.decrypt(ciphertext.encode()).decode() if ciphertext else ""

    def join_token(self, deployment: str, serial: int = 0) -> str:
        """The token of one deployment's agent: derived, so that creation can resume without having stored it.

        Each `serial` gives another one.
        """
        digest = hmac.new(self._key, f"join:{deployment}{f':{serial}' if serial else ''}".encode(), "sha256").digest()
        return f"tlj_{deployment}_{base64.urlsafe_b64encode(digest[:KEY_BYTES]).decode().rstrip('=')}"

    def external_id(self, project: str) -> str:
        """What a role's trust policy demands for a project, so that no other project can use the role through us."""
        return "tieline-" + hmac.new(self._key, f"external:{project}".encode(), "sha256").hexdigest()[:EXTERNAL_DIGITS]


def token_deployment(token: str) -> str:
    """The deployment id that a join token names; "" where it is no join token."""
    parts = token.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "tlj" else ""
