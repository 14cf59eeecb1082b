"""What every test gets: a clean environment, a prefix of its own, and world tests only where worlds can be made."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes, or making it, says nothing on a machine that others use as well.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

HERE = Path(__file__).parent
MARK = "tlt-"  # begins the name of everything that a test makes in the kernel
INSTALLED = "tl-"  # begins the name of everything that `tieline up` makes (tieline/cli/home.py)
NAMESPACES = Path("/run/netns")  # where iproute2 keeps the named ones
TOOLS = ("ip", "nft", "conntrack", "dnsmasq", "mosquitto", "unshare", "setpriv", "ps")
INITDB = "lib/postgresql/*/bin/initdb"  # Debian keeps the server's programs out of PATH
# Leftovers that would turn a client away from the servers which the tests start.
FOREIGN = ("AWS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "TIELINE_")

_handed_out: set[str] = set()
_foreign_namespaces: set[str] = set()
ABSENT = "not installed: "  # begins what tests/programs.py says of a server
NO_WORLD = "no world can be made here; "


def new_prefix() -> str:
    """A prefix that no other test has: ten characters, which leaves five for an interface's name."""
    prefix = MARK + secrets.token_hex(3)
    _handed_out.add(prefix)
    return prefix


@pytest.fixture
def prefix() -> str:
    """The test's own prefix; whatever it makes in the kernel begins with it."""
    return new_prefix()


@pytest.fixture(scope="session")
def prefixes() -> Callable[[], str]:
    """The maker of prefixes, for fixtures that outlive one test."""
    return new_prefix


@pytest.fixture(autouse=True, scope="session")
def clean_environment() -> Iterator[None]:
    """No credential, certificate bundle, endpoint or proxy of the caller reaches a test or a process it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(FOREIGN)]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@cache
def world_obstacle() -> str:
    """Why this system cannot run world tests, or "" where it can: found by making a namespace and loading a table."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if not any(Path("/usr").glob(INITDB)):
        missing.append("initdb")
    if missing:
        return f"not installed: {', '.join(missing)}"
    name = new_prefix()
    steps = (
        ["ip", "netns", "add", name],
        ["ip", "-n", name, "link", "add", name, "type", "veth", "peer", "name", f"{name}p"],
        ["ip", "netns", "exec", name, "nft", "add", "table", "ip", name],
    )
    try:
        return next((text for text in map(_complaint, steps) if text), "")
    finally:
        _complaint(["ip", "netns", "delete", name])


def _complaint(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"`{' '.join(command)}` says: {done.stderr.strip() or done.returncode}"


def _namespaces() -> set[str]:
    return {entry.name for kind in (MARK, INSTALLED) for entry in NAMESPACES.glob(f"{kind}*")}


def _left_behind() -> list[str]:
    """Namespaces of this session that still exist; on a CI machine, which nobody shares, every new one is ours. One of
    several workers (pytest-xdist) knows only its own; whoever began them looks at all.
    """
    new, alone = _namespaces() - _foreign_namespaces, "PYTEST_XDIST_WORKER" not in os.environ
    return sorted(name for name in new if (os.environ.get("CI") and alone) or name.startswith(tuple(_handed_out)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several workers one runs a whole file, and one all of the console's, which share a world."""
    for item in items:
        where = item.path.relative_to(HERE) if item.path.is_relative_to(HERE) else item.path
        item.add_marker(pytest.mark.xdist_group("console" if where.parts[0] == "console" else str(where)))


def pytest_sessionstart() -> None:
    _foreign_namespaces.update(_namespaces())


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("world") and (obstacle := world_obstacle()):
        pytest.skip(f"{NO_WORLD}{obstacle}")


def _skipped(reports: Iterable[pytest.TestReport], kind: str) -> Counter[str]:
    """How many tests were skipped for which reasons of a kind, which begins them."""
    reasons = (report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple))
    begin = f"Skipped: {kind}"
    return Counter(reason.removeprefix(begin) for reason in reasons if reason.startswith(begin))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _left_behind() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.getreports("skipped")
    for obstacle, count in _skipped(skipped, NO_WORLD).items():
        terminalreporter.section("THE WORLD WAS NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(f"{count} world tests were skipped: {obstacle}", red=True)
        terminalreporter.line("To test it: sudo ./dev test, on a machine or in a --privileged container.")
    if without := _skipped(skipped, ABSENT):
        terminalreporter.section("NOT EVERY SERVER WAS THERE", sep="!", red=True, bold=True)
        for program, count in sorted(without.items()):
            terminalreporter.line(f"{count} tests were skipped; not installed: {program}", red=True)
    if left := _left_behind():
        terminalreporter.section("LEFT BEHIND", sep="!", red=True, bold=True)
        terminalreporter.line(f"namespaces made by this session still exist: {', '.join(left)}", red=True)
