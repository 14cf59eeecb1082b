"""`tieline doctor --host` says what this machine gives, and for what it does not give, how to get it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tieline.fabric.kernel import host
from tieline.fabric.kernel.instance import calls, control_groups


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tieline", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_part_is_told_with_its_way() -> None:
    parts = json.loads(run("--host", "--json").stdout)
    assert len(parts) >= 8 and all(part["found"] for part in parts)
    assert all(part["given"] or part["get"] for part in parts)
    table = run("--host").stdout
    assert table.count("✓") + table.count("✗") == len(parts)


@pytest.mark.parametrize("arguments", [(), ("a-link", "--host")])
def test_it_looks_at_one_thing(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 1 and "one thing only" in done.stderr


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without libseccomp and with control groups that cannot be written to."""

    def missing() -> bytes:
        raise calls.NoFilter("libseccomp is missing")

    monkeypatch.setattr(calls, "program", missing)
    monkeypatch.setattr(control_groups, "here", list)
    monkeypatch.setattr(host, "counts_processes", lambda _: False)
    lacking = {part.part: part.get for part in host.look() if not part.given}
    assert "apt install libseccomp2" in lacking["system calls are filtered"]
    assert all(lacking[f"{what} limited by instance type"] for what in ("memory is", "processors are"))
    assert "Linux 6.14" in lacking["processes and threads are limited"]
