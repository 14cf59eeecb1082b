"""From evidence to verdicts: pure, one function a hop, in the order in which a packet would stop."""

from __future__ import annotations

from collections.abc import Callable

from tieline.cloud.doctor import provider_hops
from tieline.cloud.doctor.evidence import Evidence, ResourceTest
from tieline.cloud.doctor.hops import Diagnosis, Hop, HopName, Verdict, failed, passed, unknown
from tieline.cloud.links.states import service_id
from tieline.cloud.model.records import LinkStatus

CONSENTED = {"available", "partial", "pending"}
# The hops of a resource's Test (integration/sinks/base/failures.py) in order; a hop before the failing one has passed.
WAY = ("link", "agent", "name", "address", "tcp", "tls", "login", "database", "statement")
REFUSED = "nothing accepts connections there: the port is no listener, or no target is healthy"


def diagnose(seen: Evidence) -> list[Hop]:
    """A verdict for every hop, in order."""
    return [judge(seen) for judge in HOPS]


def diagnosis(seen: Evidence) -> Diagnosis:
    """The verdicts, and the first that fails."""
    hops = diagnose(seen)
    failing = next((hop.hop for hop in hops if hop.verdict is Verdict.FAIL), None)
    return Diagnosis(link=seen.link, failing=failing, hops=hops, evidence=seen)


def consent(seen: Evidence) -> Hop:
    """Whether the provider said yes to this endpoint."""
    state = (seen.provider.connection if seen.provider else "") or seen.endpoint_state
    accept = (
        "the provider accepts: aws ec2 accept-vpc-endpoint-connections "
        f"--service-id {service_id(seen.service_name)} --vpc-endpoint-ids {seen.endpoint or '<endpoint>'}"
    )
    if state in CONSENTED:
        return passed(HopName.CONSENT, f"the provider accepted {seen.endpoint}")
    if state == "pendingacceptance":
        return failed(HopName.CONSENT, f"{seen.endpoint} waits for the provider's consent", accept)
    if state == "rejected":
        return failed(HopName.CONSENT, f"the provider rejected {seen.endpoint}", f"ask the provider; {accept}")
    if state == "expired":
        hint = f"tieline link reconnect {seen.link}, and have it accepted"
        return failed(HopName.CONSENT, "nobody accepted in time", hint)
    return unknown(HopName.CONSENT, f"there is no endpoint to consent to (link {seen.status})")


def endpoint(seen: Evidence) -> Hop:
    """Whether the endpoint, and with it the wire, is up."""
    if seen.status is LinkStatus.RUNNING:
        return passed(HopName.ENDPOINT, f"{seen.endpoint} is {seen.endpoint_state} in {', '.join(seen.zones)}")
    if seen.status is LinkStatus.WAITING_ACCEPTANCE:
        return unknown(HopName.ENDPOINT, f"{seen.endpoint} is up after consent only")
    why = " ".join(filter(None, (seen.reason, seen.cause)))
    told = f"link {seen.status}{f' ({why})' if why else ''}, endpoint {seen.endpoint or 'none'} {seen.endpoint_state}"
    if seen.status is LinkStatus.FAILED:
        return failed(HopName.ENDPOINT, told, seen.hint or f"tieline link reconnect {seen.link}")
    return unknown(HopName.ENDPOINT, told, seen.hint or "wait, then look again")


def name(seen: Evidence) -> Hop:
    """Whether the link's name has an address where the agent is."""
    inside = seen.inside
    if inside is None:
        return unknown(HopName.NAME, "there is no running link to look up")
    if inside.error:
        return unknown(HopName.NAME, inside.error, inside.hint)
    if inside.cause:
        hint = (
            "a link has an address in its VPC only: the agent must be in it, and the VPC needs DNS (enableDnsSupport)"
        )
        return failed(HopName.NAME, f"{seen.address}: {inside.cause}", hint)
    return passed(HopName.NAME, f"{seen.address} is {', '.join(inside.addresses)}")


def tcp(seen: Evidence) -> Hop:
    """Whether each port takes a connection from inside."""
    inside = seen.inside
    if inside is None or inside.error or inside.cause:
        return unknown(HopName.TCP, "no address to connect to")
    if not inside.doors:
        return unknown(HopName.TCP, "no port is known", "tell the link its ports, or create a resource that uses it")
    told = "; ".join(
        f"{door.port} {door.cause or f'accepted in {door.seconds * 1000:.0f} ms'}" for door in inside.doors
    )
    if any(door.cause for door in inside.doors):
        return failed(HopName.TCP, told, f"{REFUSED}; doctor with the provider's --profile tells which")
    return passed(HopName.TCP, told)


def tls(seen: Evidence) -> Hop:
    """Whether the server's certificate fits the name that it is checked against."""
    secured = tuple(resource for resource in seen.resources if resource.tls)
    if seen.resources and not secured:
        return unknown(HopName.TLS, "no resource behind this link uses TLS")
    told = {resource.name: f" (checked against {resource.server_name})" for resource in secured}
    hint = "set the resource's ssl.server_name to a name of the server's certificate, and ssl.cacert to its issuer"
    return _tested(HopName.TLS, secured, told, hint)


def login(seen: Evidence) -> Hop:
    """Whether the server lets the user in."""
    hint = "the server sees the load balancer's address as its client: its access list must admit that"
    return _tested(HopName.LOGIN, seen.resources, {}, hint)


def database(seen: Evidence) -> Hop:
    """Whether the database is there."""
    return _tested(HopName.DATABASE, seen.resources, {}, "")


def statement(seen: Evidence) -> Hop:
    """Whether the rules' statements can be prepared."""
    told = {resource.name: f" ({resource.statements} statements)" for resource in seen.resources}
    return _tested(HopName.STATEMENT, seen.resources, told, "")


HOPS: tuple[Callable[[Evidence], Hop], ...] = (
    provider_hops.service,
    provider_hops.principal,
    provider_hops.zones,
    provider_hops.balancer,
    provider_hops.listeners,
    provider_hops.targets,
    consent,
    endpoint,
    name,
    tcp,
    tls,
    login,
    database,
    statement,
)


def _tested(hop: HopName, resources: tuple[ResourceTest, ...], told: dict[str, str], hint: str) -> Hop:
    """A verdict of the resources' Tests: fails where one stopped here, passes where one got further."""
    if not resources:
        return unknown(hop, "no resource goes through this link", "create a resource with server link:<name>:<port>")
    here = [resource for resource in resources if resource.hop == hop]
    if here:
        words = "; ".join(
            f"{one.name}: {one.message}{told.get(one.name, '')}{f' [{one.cause}]' if one.cause else ''}" for one in here
        )
        return failed(hop, words, ". ".join(filter(None, (here[0].hint, hint))))
    beyond = [one for one in resources if not one.hop or _place(one.hop) > _place(hop)]
    if beyond:
        return passed(hop, ", ".join(f"{one.name}{told.get(one.name, '')}" for one in beyond))
    stopped = ", ".join(f"{one.name} stops at {one.hop}: {one.message}" for one in resources)
    return unknown(hop, stopped)


def _place(hop: str) -> int:
    return WAY.index(hop) if hop in WAY else 0
