"""Network load balancers: internal, in chosen zones, with a listener for each port."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.console import parts
from tieline.console.provider.account import Account, ProviderView, provider, provider_frame
from tieline.console.provider.estate import Balancer, Estate
from tieline.console.provider.groups import named

PATH = "/provider/load-balancers"


@ui.page(PATH, response_timeout=20)
async def load_balancers(request: Request) -> None:
    """The page."""
    view = await provider(request)
    with provider_frame(view, "Load balancers", PATH):
        view.live(lambda now: (now.balancers, _groups(now)), lambda found: _list(view, *found))
        view.live(lambda now: (_groups(now), _subnets(now)), lambda found: Form(view, *map(dict, found)))


def _groups(now: Estate) -> tuple[tuple[str, str], ...]:
    return tuple((group.arn, f"{group.name} (TCP {group.port})") for group in now.groups)


def _subnets(now: Estate) -> tuple[tuple[str, str], ...]:
    """Those of the VPCs that a target group is in."""
    vpcs = {group.vpc for group in now.groups}
    networks = (network for network in now.networks if network.id in vpcs)
    return tuple((id, f"{zone} {id} {cidr}") for network in networks for id, zone, cidr in network.subnets)


def _list(view: ProviderView, balancers: tuple[Balancer, ...], groups: tuple[tuple[str, str], ...]) -> None:
    if not balancers:
        parts.say(
            "There is none yet. It stands in zones of your VPC, and endpoints reach your targets through it.", "muted"
        )
    for balancer in balancers:
        with parts.card():
            with parts.row("between"):
                parts.heading(balancer.name)
                _delete(view, balancer)
            parts.state(balancer.state)
            parts.facts(
                [
                    ("Type", f"network, {balancer.scheme}"),
                    ("VPC", balancer.vpc),
                    ("Zones", ", ".join(balancer.zones)),
                ]
            )
            for listener in balancer.listeners:
                target = named(view.now, listener.group)
                parts.say(f"Listener {listener.protocol} {listener.port}, forwards to {target}")
            _add_listener(view, balancer, dict(groups))


def _delete(view: ProviderView, balancer: Balancer) -> None:
    async def delete() -> None:
        await view.remove(
            "load balancer",
            balancer.name,
            "Its listeners go with it. Endpoint services that use it must be deleted first.",
            lambda there: there.elb.delete_load_balancer(LoadBalancerArn=balancer.arn),
        )

    parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete load balancer {balancer.name}"')


def _add_listener(view: ProviderView, balancer: Balancer, groups: dict[str, str]) -> None:
    if not groups:
        return
    with parts.tag("details"):
        parts.tag("summary", text="Add a listener")
        with parts.row():
            port = parts.number("Port", 5432)
            group = parts.choice("Forward to", groups, next(iter(groups)))

            async def add() -> None:
                await view.act(lambda there: listen(there, balancer.arn, int(port.value or 0), group.value))

            parts.button("Add listener", add, kind="other")


def listen(there: Account, balancer: str, port: int, group: str) -> Any:
    """A TCP listener that forwards to a target group."""
    actions = [{"Type": "forward", "TargetGroupArn": group}]
    return there.elb.create_listener(LoadBalancerArn=balancer, Protocol="TCP", Port=port, DefaultActions=actions)


class Form:
    """Create load balancer: the fields of the guide's screenshots on one page."""

    def __init__(self, view: ProviderView, groups: dict[str, str], subnets: dict[str, str]) -> None:
        self._view = view
        with parts.card("Create load balancer"):
            if not groups:
                parts.empty("It needs a target group first.", "Target groups", "/provider/target-groups")
                return
            parts.say("Network Load Balancer, internal, IPv4. Choose the zones that the deployment told you.", "muted")
            with parts.tag("div", "grid"):
                self._name = parts.field("Load balancer name", "nlb")
                self._subnets = parts.choice("Zones and subnets", subnets, list(subnets), many=True)
                self._port = parts.number("Listener port (TCP)", 5432)
                self._group = parts.choice("Default action: forward to", groups, next(iter(groups)))
            self._cross = ui.checkbox("Spread over the targets of all zones (cross-zone)", value=True)
            self._outcome = parts.stack()
            with parts.row():
                parts.button("Create load balancer", self._create)

    async def _create(self) -> None:
        name, subnets, port = self._name.value.strip(), list(self._subnets.value), int(self._port.value or 0)
        group, cross = self._group.value, str(bool(self._cross.value)).lower()

        def make(there: Account) -> object:
            made = there.elb.create_load_balancer(Name=name, Subnets=subnets, Scheme="internal", Type="network")
            arn = made["LoadBalancers"][0]["LoadBalancerArn"]
            attributes = [{"Key": "load_balancing.cross_zone.enabled", "Value": cross}]
            there.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
            return listen(there, arn, port, group)

        if await self._view.act(make, self._outcome) is not None:
            self._outcome.clear()
