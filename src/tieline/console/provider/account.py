"""A provider's pages: the live view of an account, their common frame, and the first page with its networks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from nicegui import ui
from starlette.requests import Request

from tieline.cloud.aws.client import Aws, AwsSettings
from tieline.console.frame import parts
from tieline.console.frame.shell import View, frame
from tieline.console.live.feed import Feed, feed
from tieline.console.provider.reading import Estate, Network, read
from tieline.console.session import context
from tieline.console.session.credentials import PROVIDER_COOKIE, Keys

T = TypeVar("T")
LOCAL_SECONDS, AWS_SECONDS = 1.0, 10.0  # between two looks: AWS throttles, this machine does not
TABS = (
    ("Account", "/provider"),
    ("Target groups", "/provider/target-groups"),
    ("Load balancers", "/provider/load-balancers"),
    ("Endpoint services", "/provider/endpoint-services"),
)


class Account:
    """The clients of a pair of access keys."""

    def __init__(self, keys: Keys) -> None:
        place = context.current.place
        session = boto3.Session(keys.access_key, keys.secret_key, region_name=place.region)
        settings = Config(retries={"max_attempts": 2}, connect_timeout=5, read_timeout=20)
        wire = place.wire or None
        self.ec2: Any = session.client("ec2", endpoint_url=wire, config=settings)
        self.elb: Any = session.client("elbv2", endpoint_url=wire, config=settings)
        self.sts: Any = session.client("sts", endpoint_url=wire, config=settings)
        self.witness = Witness(self, place.region)
        self._last = Estate()

    def read(self) -> Estate:
        """What the account has; where it cannot be read, what it had and the problem."""
        found = read(self.ec2, self.elb, self.sts)
        self._last = replace(self._last, problem=found.problem) if found.problem else found
        return self._last


class Witness(Aws):
    """The account as the doctor of a link asks it."""

    def __init__(self, account: Account, region: str) -> None:
        super().__init__(AwsSettings(region))
        self._account = account

    def _connect(self, service: str) -> Any:
        return {"ec2": self._account.ec2, "elbv2": self._account.elb, "sts": self._account.sts}[service]


class ProviderView(View[Estate]):
    """A page of a provider."""

    def __init__(self, account: Account, source: Feed[Estate], now: Estate) -> None:
        super().__init__(source, now)
        self.account = account

    async def act(self, call: Callable[[Account], T], place: ui.element | None = None) -> T | None:
        """Ask AWS for something; its refusal is shown in `place`, or as a notice. None where it refused."""
        try:
            return await asyncio.to_thread(call, self.account)
        except (BotoCoreError, ClientError, ValueError) as error:
            with self.page:
                _refused(str(error), place)
            return None
        finally:
            self.source.hurry()

    async def remove(self, kind: str, name: str, text: str, delete: Callable[[Account], object]) -> None:
        """Delete after the name was typed."""
        with self.page:  # the section that the click came from may be gone
            sure = await parts.confirmed(f"Delete {kind} {name}", text, name)
        if sure:
            await self.act(delete)


def _refused(text: str, place: ui.element | None) -> None:
    if place is None:
        ui.notify(text, type="negative", position="top", multi_line=True, timeout=0, close_button="Close")
        return
    place.clear()
    with place:
        parts.problem(text)


_accounts: dict[Keys, Account] = {}


async def provider(request: Request) -> ProviderView:
    """The live view of whoever asks for a page."""
    keys: Keys = request.state.credential
    return await provider_of(keys)


async def also_provider(request: Request) -> ProviderView | None:
    """The account that whoever asks for another page is signed in to as well."""
    cookie = request.cookies.get(PROVIDER_COOKIE)
    known = context.current.sessions.find(cookie, Keys, time.time())
    return await provider_of(known[1]) if known else None


async def provider_of(keys: Keys) -> ProviderView:
    """The live view of an account."""
    if keys not in _accounts:
        _accounts[keys] = await asyncio.to_thread(Account, keys)
    account = _accounts[keys]
    seconds = LOCAL_SECONDS if context.current.place.wire else AWS_SECONDS
    source = feed(("account", keys), account.read, seconds)
    return ProviderView(account, source, await source.first())


@contextmanager
def provider_frame(view: ProviderView, title: str, path: str) -> Iterator[None]:
    """The frame of a provider's page."""
    with frame(title, "/provider"):
        parts.heading(title, 1)
        with parts.tag("nav", "tabs").props('aria-label="Parts of the account"'):
            for name, target in TABS:
                link = ui.link(name, target)
                if target == path:
                    link.props("aria-current=page")
        view.live(lambda now: now.problem, lambda text: parts.problem(text) if text else None)
        yield


@contextmanager
def form(
    view: ProviderView, title: str, needs: Callable[[Estate], object], missing: Callable[[], object]
) -> Iterator[None]:
    """A form, which stays as it is typed whatever happens; `missing` is drawn instead where it lacks what it needs."""
    with parts.card(title):
        view.live(lambda now: not needs(now), lambda lacking: missing() if lacking else None)
        place = parts.stack("wide")
    view.shown(place, needs)
    with place:
        yield


@contextmanager
def card(
    view: ProviderView, find: Callable[[Estate], T | None], about: Callable[[ProviderView, T], object]
) -> Iterator[ui.element]:
    """One thing's part of the page: what is told of it is drawn anew, what is typed and chosen below stays."""
    with parts.card() as made:
        view.live(find, lambda found: about(view, found) if found else None)
        yield made


@ui.page("/provider", response_timeout=20)
async def overview(request: Request) -> None:
    """The account and its networks."""
    view = await provider(request)
    with provider_frame(view, "Provider", "/provider"):
        view.live(_todo, _checklist)
        view.live(lambda now: (now.account, now.networks), lambda found: _networks(*found))


def _todo(now: Estate) -> tuple[tuple[str, bool, str], ...]:
    """The guide's steps on this side, and which are done."""
    healthy = any(target.state == "healthy" for group in now.groups for target in group.targets)
    listening = any(balancer.listeners for balancer in now.balancers)
    accepted = any(one.state == "available" for service in now.services for one in service.connections)
    return (
        ("An instance in a VPC", any(network.instances for network in now.networks), ""),
        ("A target group with a healthy target", healthy, "/provider/target-groups"),
        ("A network load balancer that listens", listening, "/provider/load-balancers"),
        ("An endpoint service", bool(now.services), "/provider/endpoint-services"),
        ("An allowed principal", any(service.principals for service in now.services), "/provider/endpoint-services"),
        ("An accepted endpoint connection", accepted, "/provider/endpoint-services"),
    )


def _checklist(steps: tuple[tuple[str, bool, str], ...]) -> None:
    with parts.card("The way to a provided service"), parts.tag("ol", "list"):
        for title, done, path in steps:
            with parts.tag("li", "row"):
                parts.state("passed" if done else "to do", "done" if done else "to do")
                ui.link(title, path) if path else parts.tag("span", text=title)


def _networks(account: str, networks: tuple[Network, ...]) -> None:
    with parts.card(f"Account {account}"):
        if not networks:
            parts.say("It has no VPC yet: begin with one, and with an instance in it that runs the service.", "muted")
        for network in networks:
            parts.tag("h3", text=f"{network.id} {network.cidr}")
            with parts.tag("ul", "list"):
                for id, zone, cidr in network.subnets:
                    parts.tag("li", text=f"{zone}: {id} {cidr}")
                for id, address, word in network.instances:
                    with parts.tag("li", "row"):
                        parts.state(word)
                        parts.tag("span", text=f"{id} {address}")
