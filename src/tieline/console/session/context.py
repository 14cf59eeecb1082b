"""What every page starts from: the application that it is part of, and where the platform's world is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from tieline.base.change_signal import Pulse
from tieline.base.secrets import Vault
from tieline.console.session.sessions import Sessions


@dataclass(frozen=True)
class Place:
    """Where the platform runs: its state directory, its own URL, and AWS's endpoint, "" for AWS itself."""

    state: Path
    rest: str
    wire: str
    region: str


@dataclass
class Console:
    """The console of this process; NiceGUI allows one."""

    app: FastAPI
    vault: Vault
    pulse: Pulse
    place: Place
    sessions: Sessions
    loop: asyncio.AbstractEventLoop | None = None
    watching: asyncio.Task[None] | None = None  # over the sessions of open pages
    feeds: dict[Any, Any] = field(default_factory=dict)  # by what they read, and on whose behalf


current: Console  # set by install()
