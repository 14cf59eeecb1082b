"""Former names of sessions are moved out of the memories once, and cut short nothing of them is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from tieline.agent.former import collect
from tieline.integration.mqtt.session_store import Memory

PRESENT = "tieline-integration.0123-res-1"
FORMER = {
    "tieline-integration": {"a"},
    "tieline-integration-res-1": {"b"},
    "tieline-integration-ordered-res-1": {"c"},
    "tieline-integration-deadbeef-res-1": {"d"},  # at a broker of somebody else's
    "tieline-integration-w0-res-1": {"$share/tieline-integration/e"},
}
PLACES = {"worker-former", "worker-former-deadbeef", "worker-former-w0"}


def test_names_go_to_directories_by_pipeline(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    for name, filters in {**FORMER, PRESENT: {"now"}}.items():
        memory.remember(name, filters)
    collect(tmp_path, "deadbeef")
    assert Memory(tmp_path).clients() == [PRESENT]
    assert {place.name for place in tmp_path.glob("worker-*")} == PLACES
    found = {
        name: Memory(place).filters(name) for place in tmp_path.glob("worker-*") for name in Memory(place).clients()
    }
    assert found == FORMER
    collect(tmp_path, "deadbeef")  # again, as after every start
    assert {place.name for place in tmp_path.glob("worker-*")} == PLACES
    assert Memory(tmp_path / "worker-former").filters("tieline-integration") == {"a"}


def test_an_end_in_between_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(tmp_path)
    for name, filters in FORMER.items():
        memory.remember(name, filters)
    with monkeypatch.context() as patch:
        patch.setattr(Memory, "forget", fail)
        with pytest.raises(KeyboardInterrupt):
            collect(tmp_path, "deadbeef")
    collect(tmp_path, "deadbeef")
    found = {name for place in tmp_path.glob("worker-*") for name in Memory(place).clients()}
    assert found == set(FORMER) and Memory(tmp_path).clients() == []


def fail(*_: object) -> None:
    raise KeyboardInterrupt
