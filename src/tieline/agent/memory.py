"""What an agent keeps on disk: its last configuration, to work while the platform is away, and its own secrets."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

import msgspec

from tieline.agent.brokers.settings import CLIENT_ID
from tieline.agent.protocol import Configure, decode_for_agent, encode
from tieline.base.secrets import write_private

log = logging.getLogger(__name__)

FILE, PASSWORD, ID, NAME = "configuration.json", "broker-password", "agent-id", "session-name"
PASSWORD_BYTES = 24
NAME_BYTES = 12  # 96 bits: nobody guesses the client ids of an agent that has them in its client ids


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


def own_name(state: Path) -> str:
    """How this agent's client ids and shared groups begin: the same after every restart, and known to nobody else.

    Who knew a client id could take over its session at a broker, and who knew a group could join it.
    """
    file = state / NAME
    if not file.exists():
        write_private(file, secrets.token_hex(NAME_BYTES))
    return f"{CLIENT_ID}.{file.read_text()}"


def forget(state: Path) -> None:
    """Keep it no longer."""
    (state / FILE).unlink(missing_ok=True)
