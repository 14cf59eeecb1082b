"""Says in the summary of a run which clients were not tested."""

from __future__ import annotations

import pytest

from world.clients.absent import ABSENT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ABSENT:
        terminalreporter.section("CLIENTS THAT WERE NOT TESTED", sep="!", red=True, bold=True)
        for client, why in ABSENT.items():
            terminalreporter.line(f"{client}: {why}", red=True)
