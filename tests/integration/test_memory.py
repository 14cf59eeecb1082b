"""What the broker may hold for us is known by disk and memory alike, also where the disk took nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tieline.integration.mqtt.session_store import FILE, Memory


def test_what_the_disk_did_not_take_is_not_known_and_is_tried_again(tmp_path: Path) -> None:
    memory, obstacle = Memory(tmp_path), (tmp_path / FILE).with_suffix(".new")
    memory.remember("a", ["x"])
    obstacle.mkdir()
    for _ in range(2):  # the second call does not take the first one's word for it
        with pytest.raises(IsADirectoryError):
            memory.remember("a", ["x", "y"])
        with pytest.raises(IsADirectoryError):
            memory.forget("a")
        assert memory.filters("a") == {"x"} == Memory(tmp_path).filters("a")
    obstacle.rmdir()
    memory.remember("a", ["x", "y"])
    assert memory.filters("a") == {"x", "y"} == Memory(tmp_path).filters("a")
    memory.forget("a")
    assert memory.clients() == [] == Memory(tmp_path).clients()
