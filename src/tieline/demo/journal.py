"""What a demo world is made of, kept in a file, so that a demo that was cut short goes on and removes only its own."""

from __future__ import annotations

import secrets
from pathlib import Path

from pydantic import BaseModel, Field

from tieline.base.secrets import write_private

FILE = "demo-world.json"  # of the state directory


class Journal(BaseModel):
    """One demo world. `results` has a line for each step that is done, in their order."""

    mark: str = Field(default_factory=lambda: secrets.token_hex(4))
    password: str = Field(default_factory=lambda: secrets.token_urlsafe(12))  # the database's
    device_password: str = Field(default_factory=lambda: secrets.token_urlsafe(12))
    name: str = "demo"  # the deployment's
    deployment: str = ""  # its id
    results: list[str] = []
    problem: str = ""


def read(path: Path) -> Journal | None:
    """The journal in a file; None where no demo world was begun. Raises OSError or ValueError where it is damaged."""
    try:
        return Journal.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None


def write(path: Path, journal: Journal) -> None:
    """Keep the journal; it holds passwords, so that only its owner reads it."""
    write_private(path, journal.model_dump_json())


def forget(path: Path) -> None:
    """The world is gone."""
    path.unlink(missing_ok=True)
