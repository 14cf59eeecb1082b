"""Settings: who hears of changes, what is kept how long, which certificates are in use, and what this is."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from cryptography import x509
from nicegui import ui
from starlette.requests import Request

from tieline.client.rest import ClientError
from tieline.cloud.alerts.webhooks import WebhookView
from tieline.cloud.schemas.answers import Identity
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, View, desk, frame, words
from tieline.console.live.snapshot import Snapshot
from tieline.console.pages.access.access import listed
from tieline.console.pages.settings.retention import retention
from tieline.console.session import context
from tieline.console.session.rest import Rest

PATH, SECONDS = "/settings", 2.0


@dataclass(frozen=True)
class Webhooks:
    """Who hears of changes; `problem` says why it could not be read."""

    hooks: tuple[WebhookView, ...] = ()
    problem: str = ""


def read(client: Rest) -> Webhooks:
    """The present state; never raises ClientError."""
    try:
        return Webhooks(tuple(client.alerts()))
    except ClientError as error:
        return Webhooks(problem=words(error))


@ui.page(PATH, response_timeout=15)
async def settings(request: Request) -> None:
    """The page."""
    view = await desk(request)
    hooks = await view.beside("webhooks", read, SECONDS)
    with frame("Settings", PATH):
        parts.heading("Settings", 1)
        with parts.card("Alerts"):
            parts.say("Each change of state is sent to these webhooks as JSON, again where one does not answer.")
            hooks.live(lambda now: now, lambda found: _hooks(view, hooks, found))
            _new_hook(view, hooks)
        await retention(view)
        with parts.card("Certificates"):
            view.live(lambda now: not _encrypted(now), _none)
            view.each(_encrypted, lambda found: _certificate(view, *found), parts.stack("wide"))
        _about(await view.act(lambda client: client.identity()))


def _hooks(view: Desk, hooks: View[Webhooks], found: Webhooks) -> None:
    if found.problem:
        parts.problem(found.problem)
    elif not found.hooks:
        parts.say("Nobody is told yet.", "muted")
    else:
        with parts.table(("Name", "URL", "Signed", ""), "Webhooks"):
            for hook in found.hooks:
                with parts.tag("tr"):
                    parts.tag("td", text=hook.name)
                    parts.tag("td", text=hook.url)
                    parts.tag("td", text="signed" if hook.signed else "not signed")
                    with parts.tag("td"):
                        _delete_hook(view, hooks, hook)


def _delete_hook(view: Desk, hooks: View[Webhooks], hook: WebhookView) -> None:
    async def delete() -> None:
        await view.remove(
            "webhook", hook.name, "It hears of nothing more.", lambda client: client.delete_alert(hook.id)
        )
        hooks.source.hurry()

    parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete webhook {hook.name}"')


def _new_hook(view: Desk, hooks: View[Webhooks]) -> None:
    with parts.tag("details"):
        parts.tag("summary", text="New webhook")
        with parts.stack("wide"):
            with parts.tag("div", "grid"):
                name = parts.field("Name of the webhook")
                url = parts.field("URL")
                secret = parts.secret("Secret that signs each alert (empty: none)")
                projects = parts.field("Projects, with commas (none: all of yours)")
            outcome = parts.stack()

            async def create() -> None:
                outcome.clear()

                def refused(error: ClientError) -> None:
                    with outcome:
                        parts.problem(words(error))

                wanted = {"name": name.value.strip(), "url": url.value.strip(), "secret": secret.value}
                wanted |= {"projects": listed(projects.value)}
                if await view.act(lambda client: client.create_alert(**wanted), refused):
                    name.value = url.value = secret.value = projects.value = ""
                hooks.source.hurry()

            with parts.row():
                parts.button("Create webhook", create)


def _encrypted(now: Snapshot) -> list[tuple[str, str, str]]:
    """Name, TLS address and what is known of the listener's certificate, of the deployments that have one."""
    ones = [one.deployment for one in now.deployments]
    return [(one.name, str(one.mqtts), str(one.tls_certificate or "is not made yet")) for one in ones if one.mqtts]


def _none(none: bool) -> None:
    if none:
        parts.say("No deployment has a TLS listener.", "muted")


def _certificate(view: Desk, name: str, address: str, told: str) -> ui.element:
    """A listener's row: what is shown of it stays while others come and go."""
    with parts.row("between") as row:
        with parts.stack():
            parts.say(f"{name}, {address}")
            parts.say(f"The server's certificate {told}", "muted")
        place = parts.stack()
        parts.button("Show", partial(_show, view, name, place), kind="other").props(
            f'aria-label="Show the certificate of {name}"'
        )
    return row


async def _show(view: Desk, name: str, place: ui.element) -> None:
    """What devices verify a deployment's listener with."""
    pem = await view.act(lambda client: client.certificate(name))
    place.clear()
    if pem is None:
        return
    authority = x509.load_pem_x509_certificate(pem.encode())
    with place:
        subject, ends = authority.subject.rfc4514_string(), f"{authority.not_valid_after_utc:%Y-%m-%d}"
        parts.say(f"What devices verify it with: the authority {subject}, which ends {ends}")
        parts.copied(pem, f"the certificate of {name}", block=True)


def _about(who: Identity | None) -> None:
    place = context.current.place
    means = {"key": "API key", "user": "user"}
    with parts.card("About"):
        parts.facts(
            [
                ("tieline", version("tieline")),
                ("Python", platform.python_version()),
                ("REST", lambda: parts.copied(f"{place.rest}/api/v1", "the address of REST")),
                ("Description", lambda: ui.link("openapi.json", f"{place.rest}/api/v1/openapi.json")),
                ("AWS", place.wire or "AWS itself"),
                ("Region", place.region),
                ("You", f"{means[who.means]} {who.name}, {who.role}" if who else ""),
            ]
        )
