"""The configuration that an agent last heard of, on disk: with it the agent works while the platform is away."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

import msgspec

from tieline.cloud.protocol import Configure, decode_for_agent, encode
from tieline.cloud.secrets import write_private

log = logging.getLogger(__name__)

FILE, PASSWORD, ID = "configuration.json", "broker-password", "agent-id"
PASSWORD_BYTES = 24


def remember(state: Path, message: Configure) -> None:
    """Keep the configuration; it holds passwords, so only its owner may read it."""
    write_private(state / FILE, encode(message).decode())


def recall(state: Path) -> Configure | None:
    """The configuration that was kept; None where there is none that can be read."""
    try:
        message = decode_for_agent((state / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        log.warning("the kept configuration cannot be used, waiting for the platform: %s", error)
        return None
    return message if isinstance(message, Configure) else None


def own_password(state: Path) -> str:
    """The agent's password at its own broker: made here at first use, and known to nobody else."""
    file = state / PASSWORD
    if not file.exists():
        write_private(file, secrets.token_urlsafe(PASSWORD_BYTES))
    return file.read_text()


def own_id(state: Path) -> str:
    """This agent's id among those of its deployment: made at first use."""
    file = state / ID
    if not file.exists():
        write_private(file, secrets.token_hex(4))
    return file.read_text()


def forget(state: Path) -> None:
    """Keep it no longer."""
    (state / FILE).unlink(missing_ok=True)
