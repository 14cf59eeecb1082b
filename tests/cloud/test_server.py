"""The platform as a process: its files, its end, and what it says when it cannot start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from platforms import NOBODY_THERE, PlatformProcess
from tieline.cloud.aws.client import Aws, AwsRefused, AwsSettings, AwsUnreachable


def test_it_ends_in_order_and_keeps_its_keys(tmp_path: Path) -> None:
    with PlatformProcess(tmp_path / "cloud") as platform:
        key = platform.key
        platform.client.create_deployment(name="kept", provider="external", mqtt={"host": "127.0.0.1", "port": 1})
        assert platform.stop() == 0
        for path in platform.state.iterdir():
            assert path.stat().st_mode & 0o077 == 0, path
        platform.start()
        assert platform.key == key
        assert [deployment.name for deployment in platform.client.deployments()] == ["kept"]


def test_a_taken_port_is_explained(tmp_path: Path) -> None:
    with PlatformProcess(tmp_path / "cloud") as platform:
        options = ["--state", str(tmp_path / "other"), "--port", str(platform.port)]
        second = subprocess.run(
            [sys.executable, "-m", "tieline.cloud", *options], capture_output=True, text=True, check=False
        )
    assert second.returncode == 1
    assert "Address already in use; choose another --port" in second.stderr


async def test_nobody_there_is_told_from_wrong_settings(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[platform]\naws_access_key_id = AKIAXXXXXXXXXXXXXXXX\naws_secret_access_key = x\n")
    away = Aws(AwsSettings("us-east-1", NOBODY_THERE, credentials, "platform"))
    with pytest.raises(AwsUnreachable):
        await away.identity()
    wrong = Aws(AwsSettings("us-east-1", NOBODY_THERE, credentials, "nobody"))
    with pytest.raises(AwsRefused, match="nobody") as refused:
        await wrong.identity()
    assert refused.value.code == "AuthFailure"
