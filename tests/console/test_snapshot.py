"""What the pages know of the platform, also while it does not answer."""

from __future__ import annotations

from pathlib import Path

from platforms import PlatformProcess
from tieline.client.rest import Client
from tieline.console.live.snapshot import Reader, Snapshot


def test_what_was_read_last_stays_while_the_platform_does_not_answer(tmp_path: Path) -> None:
    with PlatformProcess(tmp_path / "cloud") as platform:
        platform.client.create_deployment(name="plant", provider="external", mqtt={"host": "127.0.0.1", "port": 9})
        read = Reader(platform.client)
        assert [one.deployment.name for one in read().deployments] == ["plant"]
        platform.kill()
        without = read()
        assert [one.deployment.name for one in without.deployments] == [
            "plant"
        ] and "does not answer" in without.problem
        platform.start()
        assert read().problem == ""


def test_whoever_may_not_read_any_more_sees_nothing(tmp_path: Path) -> None:
    with PlatformProcess(tmp_path / "cloud") as platform:
        platform.client.create_deployment(name="plant", provider="external", mqtt={"host": "127.0.0.1", "port": 9})
        made = platform.client.create_key(name="short", role="auditor")
        with Client(platform.url, made.key) as client:
            read = Reader(client)
            assert read().deployments
            platform.client.revoke_key("short")
            assert read() == Snapshot(problem=read().problem, signed_out=True)
