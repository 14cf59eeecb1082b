"""Endpoint services: their name to copy, allowed principals, and endpoint connections with Accept and Reject."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from tieline.console.frame import parts
from tieline.console.provider.account import Account, ProviderView, card, form, provider, provider_frame
from tieline.console.provider.reading import Connection, Estate, Service

PATH = "/provider/endpoint-services"
WAITING = {"pendingAcceptance"}
CONNECTED = {"available", "pendingAcceptance", "pending"}


@ui.page(PATH, response_timeout=20)
async def endpoint_services(request: Request) -> None:
    """The page."""
    view = await provider(request)
    with provider_frame(view, "Endpoint services", PATH):
        view.live(lambda now: not now.services, _none)
        view.each(_ids, lambda id: _service(view, id), parts.stack("wide"))
        _form(view)


def _none(none: bool) -> None:
    if none:
        parts.say(
            "There is none yet. It stands before a load balancer, and has the name that others connect to.", "muted"
        )


def _ids(now: Estate) -> tuple[str, ...]:
    return tuple(service.id for service in now.services)


def _find(now: Estate, id: str) -> Service | None:
    return next((service for service in now.services if service.id == id), None)


def _service(view: ProviderView, id: str) -> ui.element:
    """A service's part of the page; what changes inside one leaves its neighbours alone."""
    with card(view, lambda now: _find(now, id), _about) as part:
        _allow(view, id)
    return part


def _about(view: ProviderView, service: Service) -> None:
    with parts.row("between"):
        parts.heading(service.id)
        _delete(view, service)
    parts.state(service.state)
    parts.facts(
        [
            ("Service name", lambda: parts.copied(service.name, "the service name")),
            ("Zones", ", ".join(map(str, service.zones))),
            ("Load balancer", ", ".join(arn.split("/")[-2] for arn in service.balancers if "/" in arn)),
        ]
    )
    parts.tag("h3", text="Endpoint connections")
    if not service.connections:
        parts.say("Nobody has asked yet.", "muted")
    with parts.tag("ul", "list"):
        for connection in service.connections:
            with parts.tag("li", "row between"):
                _connection(view, service, connection)
    parts.tag("h3", text="Allowed principals")
    if not service.principals:
        parts.say("Nobody may ask yet. Add the AWS ARN that the deployment shows.", "muted")
    with parts.tag("ul", "list"):
        for principal in service.principals:
            with parts.tag("li", "row between"):
                parts.tag("span", text=principal)
                _withdraw(view, service, principal)


def _connection(view: ProviderView, service: Service, connection: Connection) -> None:
    ids = [connection.endpoint]

    async def accept() -> None:
        await view.act(lambda t: t.ec2.accept_vpc_endpoint_connections(ServiceId=service.id, VpcEndpointIds=ids))

    async def reject() -> None:
        await view.act(lambda t: t.ec2.reject_vpc_endpoint_connections(ServiceId=service.id, VpcEndpointIds=ids))

    with parts.stack():
        parts.state(connection.state)
        parts.say(f"{connection.endpoint} of account {connection.owner}", "muted")
    with parts.row():
        if connection.state in WAITING or connection.state == "rejected":
            parts.button("Accept endpoint connection request", accept).props(
                f'aria-label="Accept endpoint connection request {connection.endpoint}"'
            )
        if connection.state in CONNECTED:
            parts.button("Reject", reject, kind="danger").props(f'aria-label="Reject {connection.endpoint}"')


def _withdraw(view: ProviderView, service: Service, principal: str) -> None:
    async def withdraw() -> None:
        await view.act(
            lambda there: there.ec2.modify_vpc_endpoint_service_permissions(
                ServiceId=service.id, RemoveAllowedPrincipals=[principal]
            )
        )

    parts.button("Remove", withdraw, kind="danger").props(f'aria-label="Remove {principal}"')


def _allow(view: ProviderView, id: str) -> None:
    with parts.row():
        arn = parts.field("ARN of the principal to allow")
        outcome = parts.stack()

        async def allow() -> None:
            wanted = arn.value.strip()
            done = await view.act(
                lambda there: there.ec2.modify_vpc_endpoint_service_permissions(
                    ServiceId=id, AddAllowedPrincipals=[wanted]
                ),
                outcome,
            )
            if done is not None:
                outcome.clear()
                arn.value = ""

        parts.button("Allow principal", allow, kind="other")


def _delete(view: ProviderView, service: Service) -> None:
    async def delete() -> None:
        connected = [one.endpoint for one in service.connections if one.state in CONNECTED]
        text = "Nobody finds the service any more."
        if connected:
            count = len(connected)
            text = f"{count} connections are rejected first, and their links fail: their owners delete first. {text}"
        await view.remove("endpoint service", service.id, text, lambda there: _end(there, service.id, connected))

    parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete endpoint service {service.id}"')


def _end(there: Account, id: str, connected: list[str]) -> None:
    if connected:
        there.ec2.reject_vpc_endpoint_connections(ServiceId=id, VpcEndpointIds=connected)
    refused = there.ec2.delete_vpc_endpoint_service_configurations(ServiceIds=[id])["Unsuccessful"]
    if refused:  # answered with HTTP 200
        raise ValueError(refused[0]["Error"]["Message"])


def _free(now: Estate) -> dict[str, str]:
    """The load balancers that no service has."""
    used = {arn for service in now.services for arn in service.balancers}
    return {one.arn: one.name for one in now.balancers if one.arn not in used}


def _lacking() -> None:
    parts.empty("It needs a load balancer without a service.", "Load balancers", "/provider/load-balancers")


def _form(view: ProviderView) -> None:
    with form(view, "Create endpoint service", _free, _lacking):
        parts.say("Load balancer type Network, IP address type IPv4, acceptance required.", "muted")
        free = _free(view.now)
        balancer = parts.choice("Network load balancer", free, next(iter(free), None))
        view.choose(balancer, _free)
        outcome = parts.stack()

        async def create() -> None:
            made = await view.act(
                lambda there: there.ec2.create_vpc_endpoint_service_configuration(
                    NetworkLoadBalancerArns=[balancer.value],
                    AcceptanceRequired=True,
                    SupportedIpAddressTypes=["ipv4"],
                ),
                outcome,
            )
            if made is not None:
                outcome.clear()

        with parts.row():
            parts.button("Create endpoint service", create)
