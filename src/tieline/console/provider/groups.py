"""Target groups: basic configuration, health check with an override port, registered targets with live health."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.console import parts
from tieline.console.provider.account import Account, ProviderView, provider, provider_frame
from tieline.console.provider.estate import Estate, Group, Network

PATH = "/provider/target-groups"
Running = tuple[str, str, str]  # an instance that runs: its VPC, its id, its address


@ui.page(PATH, response_timeout=20)
async def target_groups(request: Request) -> None:
    """The page."""
    view = await provider(request)
    with provider_frame(view, "Target groups", PATH):
        view.live(lambda now: (now.groups, _running(now)), lambda found: _list(view, *found))
        view.live(_vpcs, lambda found: _form(view, dict(found)))  # no more of them: what is typed would be lost


def _vpcs(now: Estate) -> tuple[tuple[str, str], ...]:
    return tuple((network.id, f"{network.id} {network.cidr}") for network in now.networks)


def _running(now: Estate) -> tuple[Running, ...]:
    return tuple(
        (network.id, id, address)
        for network in now.networks
        for id, address, state in network.instances
        if state == "running"
    )


def _list(view: ProviderView, groups: tuple[Group, ...], running: tuple[Running, ...]) -> None:
    if not groups:
        parts.say("There is none yet. A target group names the instances that a load balancer sends flows to.", "muted")
    for group in groups:
        with parts.card():
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
            _register(view, group, running)


def _delete(view: ProviderView, group: Group) -> None:
    async def delete() -> None:
        text = "Listeners that forward to it must be deleted first."
        await view.remove(
            "target group", group.name, text, lambda there: there.elb.delete_target_group(TargetGroupArn=group.arn)
        )

    parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete target group {group.name}"')


def _register(view: ProviderView, group: Group, running: tuple[Running, ...]) -> None:
    known = {target.id for target in group.targets}
    free = {id: f"{id} ({address})" for vpc, id, address in running if vpc == group.vpc and id not in known}
    if not free:
        return
    with parts.row():
        chosen = parts.choice("Instance", free, next(iter(free)))

        async def register() -> None:
            target: Any = {"Id": chosen.value, "Port": group.port}
            await view.act(lambda there: there.elb.register_targets(TargetGroupArn=group.arn, Targets=[target]))

        parts.button("Register target", register, kind="other")


def _form(view: ProviderView, vpcs: dict[str, str]) -> None:
    with parts.card("Create target group"):
        if not vpcs:
            parts.say("It needs a VPC first.", "muted")
            return
        with parts.tag("div", "grid"):
            name = parts.field("Target group name", "db")
            port = parts.number("Port (protocol TCP)", 5432)
            vpc = parts.choice("VPC", vpcs, _likely(view.now.networks))
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


def _likely(networks: tuple[Network, ...]) -> str:
    """The VPC that has an instance, else the first."""
    return next((network.id for network in networks if network.instances), networks[0].id)


def named(estate: Estate, arn: str) -> str:
    """The name of a target group."""
    return next((group.name for group in estate.groups if group.arn == arn), arn)
