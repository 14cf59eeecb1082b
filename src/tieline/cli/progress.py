"""Progress of a command in phases: one line each with its time, the present one alive; nothing where JSON is wanted."""

from __future__ import annotations

import time
from typing import Self

from rich.status import Status
from rich.text import Text

from tieline.cli.output import err

WIDTH = 8  # of a phase's name


class Progress:
    """Prints to standard error, so that the result alone is on standard output."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._status: Status | None = None
        self._began = time.monotonic()
        self._now: tuple[str, str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        self.end(failed=error is not None)

    def end(self, failed: bool = False) -> None:
        """What was under way is over."""
        self._close(*(("✗", "bold red") if failed else ("✓", "green")))

    def begin(self, phase: str, detail: str) -> None:
        """The phase before is done, and this one is under way."""
        self._close("✓", "green")
        self._began, self._now = time.monotonic(), (phase, detail)
        if not self._quiet and err.is_terminal:
            self._status = err.status(_line(phase, detail))
            self._status.start()

    def _close(self, mark: str, style: str) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._now is not None and not self._quiet:
            took = time.monotonic() - self._began
            err.print(Text.assemble((f"{mark} {took:6.2f} s  ", style), _line(*self._now)))
        self._now = None


def _line(phase: str, detail: str) -> Text:
    return Text.assemble((f"{phase:<{WIDTH}} ", "bold"), detail)
