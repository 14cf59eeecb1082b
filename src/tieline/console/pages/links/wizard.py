"""+PrivateLink: what the provider must know, then the service's name, then the live state on the link's own page."""

from __future__ import annotations

import asyncio

from nicegui import ui
from starlette.requests import Request

from tieline.client.rest import ClientError
from tieline.cloud.links.service import SERVICE_NAME
from tieline.cloud.links.states import service_region
from tieline.cloud.schemas.answers import Offer
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, desk, frame, trail, words
from tieline.console.pages.access.access import listed
from tieline.console.pages.links import commands
from tieline.console.session import context

STEPS = ("1 Endpoint service and allowed principal", "2 Endpoint service name", "3 Consent")
PAUSE = 0.4  # seconds without a key before what was typed is checked


@ui.page("/deployments/{name}/private-links/new", response_timeout=15)
async def wizard(request: Request, name: str, step: int = 1) -> None:
    """The page; `step` is 1 or 2."""
    view = await desk(request)
    with frame("+PrivateLink", "/deployments"):
        trail(("Deployments", "/deployments"), (name, f"/deployments/{name}"))
        parts.heading("+PrivateLink", 1)
        with parts.tag("ol", "steps"):
            for number, title in enumerate(STEPS, 1):
                mark = parts.tag("li", text=title)
                if number == step:
                    mark.props("aria-current=step")
        try:
            offer = await view.ask(lambda client: client.offer(name))
        except ClientError as error:
            parts.problem(words(error))
            return
        if step == 1:
            _first(name, offer)
        else:
            Second(view, name, offer)


def _first(name: str, offer: Offer) -> None:
    with parts.card("Tell the provider"):
        parts.say("The provider's load balancer must be in one of these availability zones at least:")
        for zone in offer.zones:
            parts.copied(zone, f"the zone {zone}")
        parts.say("The provider adds this AWS ARN to the allowed principals of the endpoint service:")
        parts.copied(offer.principal, "the AWS ARN")
        parts.say(f"Region {offer.region}", "muted")
    with parts.card("What the provider does"):
        wire = context.current.place.wire
        _code("By clicking", "Provider, in this console: target group, load balancer, endpoint service.", False)
        _code("tieline expose", commands.expose(offer), True)
        _code("AWS CLI", commands.aws_cli(offer, wire), True)
        _code("Terraform", commands.terraform(offer), True)
    with parts.row():
        path = f"/deployments/{name}/private-links/new?step=2"
        parts.button("Allow principals and go to the next step", lambda: ui.navigate.to(path))


def _code(title: str, text: str, copies: bool) -> None:
    with parts.tag("details"):
        parts.tag("summary", text=title)
        parts.copied(text, title, block=True) if copies else parts.say(text)


class Second:
    """The form: each change of the service's name is checked, and nothing is made before the button."""

    def __init__(self, view: Desk, deployment: str, offer: Offer) -> None:
        self._view, self._deployment, self._offer = view, deployment, offer
        self._typed = 0
        with parts.card("Endpoint service"):
            self._service = parts.field("Endpoint service name", on_change=self._check)
            self._service.props('placeholder="com.amazonaws.vpce.…"')
            self._found = parts.stack().props("aria-live=polite")
            self._name = parts.field("Name of the private link", "link")
            self._ports = parts.field("Listener ports, with commas", str(commands.PORT))
            self._outcome = parts.stack()
            with parts.row():
                parts.button("Create PrivateLink", self._create)
                ui.link("Back", f"/deployments/{deployment}/private-links/new")

    def _wanted(self) -> dict[str, object]:
        """The form as REST takes it; raises ValueError for a port that is none."""
        ports = ports_of(self._ports.value)
        return {"name": self._name.value.strip(), "service_name": self._service.value.strip(), "ports": ports}

    async def _check(self) -> None:
        self._typed = turn = self._typed + 1
        await asyncio.sleep(PAUSE)
        if turn != self._typed:
            return
        text = self._service.value.strip()
        said = form_problem(text, self._offer.region)
        if text and not said:
            said = await self._ask_platform()
        if turn != self._typed:
            return
        self._found.clear()
        with self._found:
            if said:
                parts.problem(said)
            elif text:
                parts.say("The service exists, allows this deployment, and shares a zone with it.", "good")

    async def _ask_platform(self) -> str:
        name = self._service.value.strip()
        try:
            await self._view.ask(lambda client: client.check_link(self._deployment, service_name=name))
        except ClientError as error:
            return words(error)
        return ""

    async def _create(self) -> None:
        def refuse(error: ClientError) -> None:
            self._outcome.clear()
            with self._outcome:
                parts.problem(words(error))

        self._ports.error = None
        try:
            wanted = self._wanted()
        except ValueError as error:
            self._ports.error = str(error)
            return
        made = await self._view.act(lambda client: client.create_link(self._deployment, **wanted), refuse)
        if made is not None:
            ui.navigate.to(f"/deployments/{self._deployment}/private-links/{made.name}")


def ports_of(text: str | None) -> list[int]:
    """The ports between commas, each once; raises ValueError for what is no port. Pure."""
    for one in listed(text):
        if len(one) > 5 or not (one.isascii() and one.isdecimal()) or not 1 <= int(one) <= 65535:
            raise ValueError(f"{one} is no port: a port is a number from 1 to 65535.")
    return list(dict.fromkeys(map(int, listed(text))))


def form_problem(text: str, region: str) -> str:
    """What is wrong with a service name before anybody is asked; "" where nothing is, or it is empty."""
    if not text:
        return ""
    if not SERVICE_NAME.fullmatch(text):
        return "This is no endpoint service name. It looks like com.amazonaws.vpce.<region>.vpce-svc-<id>."
    if service_region(text) != region:
        return f"The service is in {service_region(text)}, the deployment in {region}."
    return ""
