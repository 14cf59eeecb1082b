"""Network load balancers: internal, in chosen zones, with a listener for each port."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.console.frame import parts
from tieline.console.provider.account import Account, ProviderView, card, form, provider, provider_frame
from tieline.console.provider.groups import named
from tieline.console.provider.reading import Balancer, Estate

PATH = "/provider/load-balancers"


@ui.page(PATH, response_timeout=20)
async def load_balancers(request: Request) -> None:
    """The page."""
    view = await provider(request)
    with provider_frame(view, "Load balancers", PATH):
        view.live(lambda now: not now.balancers, _none)
        view.each(_arns, lambda arn: _balancer(view, arn), parts.stack("wide"))
        with form(view, "Create load balancer", _groups, _lacking):
            Form(view)


def _groups(now: Estate) -> dict[str, str]:
    return {group.arn: f"{group.name} (TCP {group.port})" for group in now.groups}


def _subnets(now: Estate) -> dict[str, str]:
    """Those of the VPCs that a target group is in."""
    vpcs = {group.vpc for group in now.groups}
    networks = (network for network in now.networks if network.id in vpcs)
    return {id: f"{zone} {id} {cidr}" for network in networks for id, zone, cidr in network.subnets}


def _arns(now: Estate) -> tuple[str, ...]:
    return tuple(balancer.arn for balancer in now.balancers)


def _find(now: Estate, arn: str) -> Balancer | None:
    return next((balancer for balancer in now.balancers if balancer.arn == arn), None)


def _listeners(now: Estate, arn: str) -> tuple[str, ...]:
    found = _find(now, arn)
    return tuple(
        f"Listener {one.protocol} {one.port}, forwards to {named(now, one.group)}"
        for one in (found.listeners if found else ())
    )


def _none(none: bool) -> None:
    if none:
        parts.say(
            "There is none yet. It stands in zones of your VPC, and endpoints reach your targets through it.", "muted"
        )


def _lacking() -> None:
    parts.empty("It needs a target group first.", "Target groups", "/provider/target-groups")


def _say_all(lines: tuple[str, ...]) -> None:
    for line in lines:
        parts.say(line)


def _balancer(view: ProviderView, arn: str) -> ui.element:
    """A load balancer's part of the page: a listener that is being added stays while its state changes."""
    with card(view, lambda now: _find(now, arn), _about) as part:
        view.live(lambda now: _listeners(now, arn), _say_all)
        _add_listener(view, arn)
    return part


def _about(view: ProviderView, balancer: Balancer) -> None:
    with parts.row("between"):
        parts.heading(balancer.name)
        _delete(view, balancer)
    parts.state(balancer.state)
    parts.facts(
        [
            ("Type", f"network, {balancer.scheme}"),
            ("VPC", balancer.vpc),
            ("Zones", ", ".join(map(str, balancer.zones))),
        ]
    )


def _delete(view: ProviderView, balancer: Balancer) -> None:
    async def delete() -> None:
        await view.remove(
            "load balancer",
            balancer.name,
            "Its listeners go with it. Endpoint services that use it must be deleted first.",
            lambda there: there.elb.delete_load_balancer(LoadBalancerArn=balancer.arn),
        )

    parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete load balancer {balancer.name}"')


def _add_listener(view: ProviderView, arn: str) -> None:
    with parts.tag("details") as details:
        parts.tag("summary", text="Add a listener")
        with parts.row():
            port = parts.number("Port", 5432)
            group = _group(view, "Forward to")

            async def add() -> None:
                await view.act(lambda there: listen(there, arn, int(port.value or 0), group.value))

            parts.button("Add listener", add, kind="other")
    details.bind_visibility_from(group, "value", backward=bool)


def _group(view: ProviderView, label: str) -> ui.select:
    """The choice of a target group."""
    groups = _groups(view.now)
    chosen = parts.choice(label, groups, next(iter(groups), None))
    view.choose(chosen, _groups)
    return chosen


def listen(there: Account, balancer: str, port: int, group: str) -> Any:
    """A TCP listener that forwards to a target group."""
    actions = [{"Type": "forward", "TargetGroupArn": group}]
    return there.elb.create_listener(LoadBalancerArn=balancer, Protocol="TCP", Port=port, DefaultActions=actions)


class Form:
    """Create load balancer: the fields of the guide's screenshots on one page."""

    def __init__(self, view: ProviderView) -> None:
        self._view = view
        parts.say("Network Load Balancer, internal, IPv4. Choose the zones that the deployment told you.", "muted")
        with parts.tag("div", "grid"):
            self._name = parts.field("Load balancer name", "nlb")
            subnets = _subnets(view.now)
            self._subnets = parts.choice("Zones and subnets", subnets, list(subnets), many=True)
            view.choose(self._subnets, _subnets)
            self._port = parts.number("Listener port (TCP)", 5432)
            self._group = _group(view, "Default action: forward to")
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
