"""How often an instance ended soon after its start: the next start of one that does so waits ever longer."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tieline.base import trees

FILE = "starts.json"  # beside the instance's layers
SHORT = 120.0  # seconds; longer than the longest pause, so that who only waited for it has not lived long
FREE = 2  # starts in a row that are not waited for
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds


class Resting(Exception):
    """An instance is not started yet, for its last starts did not last. It is tried again by itself."""


class Starts(msgspec.Struct, frozen=True):
    """The starts that were followed by another within SHORT seconds, without a break, and when the last one was."""

    short: int = 0
    last: float = 0.0


def begin(place: Path, now: float) -> None:
    """Count a start; raises Resting where it is not due yet, and then counts none."""
    known = _read(place)
    short = known.short + 1 if now - known.last < SHORT else 0
    wait = known.last + pause(short) - now
    if 0 < wait <= LONGEST_PAUSE:  # more would be a clock that was set back
        raise Resting(
            f"it ended, or could not start, {short} times in a row within {SHORT:.0f} s, and waits {pause(short):.0f} "
            "s for the next start; its console (GetConsoleOutput) may say why"
        )
    trees.write(place / FILE, msgspec.json.encode(Starts(short, now)), lasting=False)


def pause(short: int) -> float:
    """Seconds from the last start to the next, after so many that did not last."""
    return 0.0 if short <= FREE else min(FIRST_PAUSE * 2 ** min(short - FREE - 1, 10), LONGEST_PAUSE)


def _read(place: Path) -> Starts:
    try:
        return msgspec.json.decode((place / FILE).read_bytes(), type=Starts)
    except (FileNotFoundError, msgspec.DecodeError):
        return Starts()
