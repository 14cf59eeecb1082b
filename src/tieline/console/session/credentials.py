"""Who is signed in: how REST or AWS is told, and how that is sealed while a session keeps it."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from cryptography.fernet import InvalidToken

from tieline.base.secrets import Vault

PERSON_COOKIE: Final = "tieline_console"
PROVIDER_COOKIE: Final = "tieline_provider"
SECONDS: Final = 12 * 3600  # a working day, as long as an idle session of the REST interface lasts


class Person(msgspec.Struct, frozen=True):
    """Somebody who works with deployments: an API key, or the cookie of a session that REST gave out."""

    header: str  # Authorization or Cookie
    value: str


class Keys(msgspec.Struct, frozen=True):
    """Somebody who works in an AWS account."""

    access_key: str
    secret_key: str


class _Sealed(msgspec.Struct):
    what: msgspec.Raw
    until: float


T = TypeVar("T", Person, Keys)


def seal(vault: Vault, credential: Person | Keys, now: float) -> str:
    """What a session keeps: nobody but this platform can read or make it."""
    sealed = _Sealed(msgspec.Raw(msgspec.json.encode(credential)), now + SECONDS)
    return vault.encrypt(msgspec.json.encode(sealed).decode())


def opened(vault: Vault, sealed_as: str | None, type: type[T], now: float) -> T | None:
    """The credential that was sealed; None where there is none, it is not ours, or it has ended."""
    try:
        sealed = msgspec.json.decode(vault.decrypt(sealed_as or ""), type=_Sealed)
        return msgspec.json.decode(sealed.what, type=type) if sealed.until > now else None
    except (InvalidToken, msgspec.DecodeError):
        return None
