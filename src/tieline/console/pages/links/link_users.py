"""What uses a private link, and would go with it."""

from __future__ import annotations

from tieline.cloud.model.records import PrivateLinkView
from tieline.cloud.resources.dependants import goes_through
from tieline.console.frame.shell import Desk
from tieline.console.live.snapshot import Inside


def users(inside: Inside | None, link: PrivateLinkView) -> list[tuple[str, str]]:
    """Kind and name of each resource that reaches its server through the link, and of each rule that writes to one."""
    if inside is None:
        return []
    used = [resource.name for resource in inside.resources if goes_through(resource.server, link)]
    rules = [rule.name for rule in inside.rules if any(action.resource in used for action in rule.actions)]
    return [*(("resource", name) for name in used), *(("rule", name) for name in rules)]


async def delete_link(view: Desk, deployment: str, link: PrivateLinkView) -> None:
    """Ask, naming what uses the link, and delete it all."""
    using = [f"{kind} {name}" for kind, name in users(view.now.inside(deployment), link)]
    text = "The endpoint and its addresses go. This cannot be undone."
    if using:
        text = f"In use by {', '.join(using)}. These are deleted as well. {text}"
    await view.remove(
        "private link",
        link.name,
        text,
        lambda client: client.delete_link(deployment, link.id, cascade=bool(using)),
        f"/deployments/{deployment}",
    )
