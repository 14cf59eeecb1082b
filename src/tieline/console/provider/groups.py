"""Target groups: basic configuration, health check with an override port, registered targets with live health."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.console.frame import parts
from tieline.console.provider.account import Account, ProviderView, card, form, provider, provider_frame
from tieline.console.provider.reading import Estate, Group, Network

PATH = "/provider/target-groups"


@ui.page(PATH, response_timeout=20)
async def target_groups(request: Request) -> None:
    """The page."""
    view = await provider(request)
    with provider_frame(view, "Target groups", PATH):
        view.live(lambda now: not now.groups, _none)
        view.each(_arns, lambda arn: _group(view, arn), parts.stack("wide"))
        _form(view)


def _vpcs(now: Estate) -> dict[str, str]:
    return {network.id: f"{network.id} {network.cidr}" for network in now.networks}


def _arns(now: Estate) -> tuple[str, ...]:
    return tuple(group.arn for group in now.groups)


def _find(now: Estate, arn: str) -> Group | None:
    return next((group for group in now.groups if group.arn == arn), None)


def _free(now: Estate, arn: str) -> dict[str, str]:
    """The instances that run in a group's VPC, and are none of its targets."""
    group = _find(now, arn)
    if group is None:
        return {}
    known = {target.id for target in group.targets}
    return {
        id: f"{id} ({address})"
        for network in now.networks
        if network.id == group.vpc
        for id, address, state in network.instances
        if state == "running" and id not in known
    }


def _none(none: bool) -> None:
    if none:
        parts.say("There is none yet. A target group names the instances that a load balancer sends flows to.", "muted")


def _group(view: ProviderView, arn: str) -> ui.element:
    """A group's part of the page: what is chosen in it stays while its targets change."""
    with card(view, lambda now: _find(now, arn), _about) as part:
        _register(view, arn)
    return part


def _about(view: ProviderView, group: Group) -> None:
    with parts.row("between"):
        parts.heading(group.name)
        _delete(view, group)
    parts.facts(
        [
            ("Protocol : port", f"{group.protocol} : {group.port}"),
            ("VPC", group.vpc),
            ("Health check", group.health),
        ]
    )
    with parts.table(("Target", "Port", "Health", ""), f"Targets of {group.name}"):
        for target in group.targets:
            with parts.tag("tr"):
                parts.tag("td", text=target.id)
                parts.tag("td", text=str(target.port))
                with parts.tag("td"):
                    parts.state(target.state)
                parts.tag("td", "muted", target.reason)
    if not group.targets:
        parts.say("No target is registered.", "muted")


def _delete(view: ProviderView, group: Group) -> None:
    async def delete() -> None:
        text = "Listeners that forward to it must be deleted first."
        await view.remove(
            "target group", group.name, text, lambda there: there.elb.delete_target_group(TargetGroupArn=group.arn)
        )

    parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete target group {group.name}"')


def _register(view: ProviderView, arn: str) -> None:
    """The choice of an instance, where there is one to choose; its port is the group's."""
    free = _free(view.now, arn)
    with parts.row() as row:
        chosen = parts.choice("Instance", free, next(iter(free), None))

        async def register() -> None:
            target: Any = {"Id": chosen.value}
            await view.act(lambda there: there.elb.register_targets(TargetGroupArn=arn, Targets=[target]))

        parts.button("Register target", register, kind="other")
    view.choose(chosen, lambda now: _free(now, arn))
    row.bind_visibility_from(chosen, "value", backward=bool)


def _form(view: ProviderView) -> None:
    with form(view, "Create target group", _vpcs, lambda: parts.say("It needs a VPC first.", "muted")):
        with parts.tag("div", "grid"):
            name = parts.field("Target group name", "db")
            port = parts.number("Port (protocol TCP)", 5432)
            vpc = parts.choice("VPC", _vpcs(view.now), _likely(view.now.networks))
            view.choose(vpc, _vpcs)
            protocol = parts.choice("Health check protocol", ["TCP", "HTTP"], "TCP")
            override = parts.number("Health check port, override (empty: traffic port)")
            interval = parts.number("Health check interval (seconds)", 10)
        outcome = parts.stack()

        def make(there: Account) -> object:
            check = str(int(override.value)) if override.value else "traffic-port"
            return there.elb.create_target_group(
                Name=name.value.strip(),
                Protocol="TCP",
                Port=int(port.value or 0),
                VpcId=vpc.value,
                TargetType="instance",
                HealthCheckProtocol=protocol.value,
                HealthCheckPort=check,
                HealthCheckIntervalSeconds=int(interval.value or 10),
            )

        async def create() -> None:
            if await view.act(make, outcome) is not None:
                outcome.clear()

        with parts.row():
            parts.button("Create target group", create)


def _likely(networks: tuple[Network, ...]) -> str | None:
    """The VPC that has an instance, else the first; None where there is none."""
    return next((network.id for network in (*(one for one in networks if one.instances), *networks)), None)


def named(estate: Estate, arn: str) -> str:
    """The name of a target group."""
    return next((group.name for group in estate.groups if group.arn == arn), arn)
