"""conftest.py keeps its word: missing worlds are announced, leftovers fail the run, clients start clean."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import programs

TESTS = Path(__file__).parent
LEAVES_A_NAMESPACE = """
import subprocess
def test_it(prefix):
    subprocess.run(["ip", "netns", "add", prefix + "x"], check=True)
"""
NEEDS_A_WORLD = """
import pytest
@pytest.mark.world
def test_it():
    raise AssertionError("it ran")
"""
NEEDS_A_SERVER = """
import programs, pytest
from databases import ClickHouse
@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "ROOT", tmp_path)
@pytest.fixture
def server(elsewhere):
    with ClickHouse() as server:
        yield server
def test_in_a_fixture(server):
    raise AssertionError("it ran")
def test_in_its_body(elsewhere):
    with ClickHouse():
        raise AssertionError("it ran")
"""
SHOWS_THE_ENVIRONMENT = """
import os
def test_it():
    assert "AWS_CA_BUNDLE" not in os.environ and "http_proxy" not in os.environ
    assert os.environ["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
"""


def session(directory: Path, test: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A session of pytest of its own, under our conftest.py."""
    shutil.copy(Path(__file__).with_name("conftest.py"), directory)
    (directory / "test_inner.py").write_text(test)
    (directory / "pytest.ini").write_text("[pytest]\nmarkers =\n    world\n    xdist_group\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(directory)]
    plain = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment}  # the inner tests need no plugin
    return subprocess.run(command, capture_output=True, text=True, check=False, env=plain)


def test_a_world_that_cannot_be_made_is_announced(tmp_path: Path) -> None:
    done = session(tmp_path, NEEDS_A_WORLD, PATH="")
    assert done.returncode == 0
    assert "THE WORLD WAS NOT TESTED" in done.stdout
    assert "1 world tests were skipped: not installed: ip, nft" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 skipped")


def test_a_server_that_is_not_installed_is_announced(tmp_path: Path) -> None:
    done = session(tmp_path, NEEDS_A_SERVER, PYTHONPATH=str(TESTS))
    assert "NOT EVERY SERVER WAS THERE" in done.stdout
    missing = "2 tests were skipped; not installed: clickhouse-server (apt install clickhouse-server)"
    assert missing in done.stdout
    assert done.stdout.splitlines()[-1].startswith("2 skipped")


def test_what_a_missing_program_asks_for_is_what_dev_installs() -> None:
    dev = TESTS.with_name("dev").read_text()
    assert [name for name, package in programs.PACKAGES.items() if f":{package}" not in dev] == []
    assert f'"{programs.PYTHON["tansu"].replace("_", "-")}"' in TESTS.with_name("pyproject.toml").read_text()


@pytest.mark.world
def test_a_world_test_runs_where_worlds_can_be_made(tmp_path: Path) -> None:
    done = session(tmp_path, NEEDS_A_WORLD)
    assert done.returncode == 1
    assert "it ran" in done.stdout


@pytest.mark.world
def test_a_namespace_left_behind_fails_the_run(tmp_path: Path) -> None:
    done = session(tmp_path, LEAVES_A_NAMESPACE, CI="")
    left = re.search(r"still exist: (tlt-[0-9a-f]{6}x)$", done.stdout, re.MULTILINE)
    try:
        assert left, done.stdout
        assert done.returncode == 1
    finally:
        if left:
            subprocess.run(["ip", "netns", "delete", left[1]], check=True)


def test_clients_start_clean(tmp_path: Path) -> None:
    done = session(tmp_path, SHOWS_THE_ENVIRONMENT, AWS_CA_BUNDLE="/nowhere.pem", http_proxy="http://127.0.0.1:1")
    assert done.returncode == 0, done.stdout
