"""A browser and a running tieline with its console, for all tests of the directory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console import browsing
from console.walk import Walk, made_customer
from tieline.client.rest import Client
from tieline.demo.customer import Customer
from world.running import Tieline

HERE = Path(__file__).parent
_browser = contextlib.ExitStack()  # the running Chromium


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the browser goes last: Playwright leaves a loop running in this thread, so that no other can start.

    Of these the removal of the guide's world is the last, in whatever order the files are named.
    """
    items.sort(key=lambda item: ("chromium" in getattr(item, "fixturenames", ()), item.path.stem == "test_removal"))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last of these tests the browser goes, and its loop with it: others follow where workers share them."""
    if item.path.is_relative_to(HERE) and not (nextitem and nextitem.path.is_relative_to(HERE)):
        _browser.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if reason := browsing.obstacle():
        terminalreporter.section("THE CONSOLE WAS NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(reason, red=True)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; a test without one is skipped with the reason."""
    if reason := browsing.obstacle():
        pytest.skip(reason)
    global _browser
    _browser = contextlib.ExitStack()
    with _browser:
        yield _browser.enter_context(browsing.browser())


@pytest.fixture(scope="session")
def tieline(tmp_path_factory: pytest.TempPathFactory, prefixes: Callable[[], str]) -> Iterator[Tieline]:
    """`tieline up`, for all tests of the console."""
    running = Tieline(tmp_path_factory.mktemp("console") / "state", prefixes())
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture(scope="session")
def customer(tieline: Tieline) -> Customer:
    """The provider of the guide."""
    return made_customer(tieline)


@pytest.fixture(scope="session")
def linked(tieline: Tieline, customer: Customer, chromium: Any) -> Walk:
    """The guide's steps as far as a rule that writes; test_removal, the last of them, takes it all down."""
    walk = Walk(tieline.rest, tieline.state, browsing.page_of(chromium), browsing.page_of(chromium))
    walk.perform(customer)
    return walk


@pytest.fixture
def client(tieline: Tieline) -> Iterator[Client]:
    """REST, to see what the clicks made."""
    with tieline.client() as found:
        yield found
