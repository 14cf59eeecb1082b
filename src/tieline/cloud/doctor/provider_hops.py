"""The provider's hops: service, principal, zones, load balancer, listeners, targets; pure."""

from __future__ import annotations

from tieline.cloud.doctor.evidence import Evidence, Provider, Target
from tieline.cloud.doctor.hops import Hop, HopName, failed, passed, unknown
from tieline.cloud.links.states import service_id, service_region

HEALTHY = "healthy"
TRANSIENT = "initial"  # the first checks are under way, and flows go to every target meanwhile
ASK = "only the provider can see it: give --profile of the provider's account, or ask the provider for "


def service(seen: Evidence) -> Hop:
    """Whether the service exists, in the deployment's region."""
    region = service_region(seen.service_name)
    if region != seen.region:
        evidence = f"{seen.service_name} is in {region}, the deployment in {seen.region}"
        return failed(HopName.SERVICE, evidence, f"ask the provider for a service in {seen.region}")
    if seen.provider and not seen.provider.error:
        if seen.provider.exists:
            return passed(HopName.SERVICE, f"{seen.service_name} exists in {region}")
        evidence = f"the provider's account has no service {service_id(seen.service_name)} (any more)"
        hint = (
            "expose it again, then connect to the new service name; or check --profile: is it the provider's account?"
        )
        return failed(HopName.SERVICE, evidence, hint)
    if seen.visible:
        return passed(HopName.SERVICE, f"{seen.service_name} is visible to {seen.principal}")
    if seen.aws_error:
        return unknown(
            HopName.SERVICE, seen.aws_error, "the platform's operator checks its AWS endpoint and credentials"
        )
    evidence = f"{seen.principal} sees no service {seen.service_name}: it is gone, or does not allow this principal"
    return failed(HopName.SERVICE, evidence, _ask_for_service(seen))


def principal(seen: Evidence) -> Hop:
    """Whether the service lets the platform's account ask."""
    allow = f"aws ec2 modify-vpc-endpoint-service-permissions --service-id {service_id(seen.service_name)}"
    if seen.visible:
        return passed(HopName.PRINCIPAL, f"{seen.principal} may ask for the service")
    if seen.provider and seen.provider.exists and not seen.aws_error:
        evidence = f"allowed are {', '.join(seen.provider.principals) or 'none'}, not {seen.principal}"
        hint = f"the provider allows it: {allow} --add-allowed-principals {seen.principal}"
        return failed(HopName.PRINCIPAL, evidence, hint)
    return unknown(
        HopName.PRINCIPAL, "AWS hides a service from those whom it does not allow", ASK + "allowed principals"
    )


def zones(seen: Evidence) -> Hop:
    """Whether both sides have a zone in common; compared by AZ id, for names differ per account."""
    source = seen.visible or _known(seen)
    theirs = source.zones if source else None
    if theirs is None:
        return unknown(HopName.ZONES, "the service cannot be seen", ASK + "the load balancer's zone ids")
    common = sorted({*seen.deployment_zones} & {*theirs})
    both = f"deployment {_list(seen.deployment_zones)}; service {_list(theirs)}"
    if not common:
        ours = _list(seen.deployment_zones)
        hint = f"the provider enables one of {ours} on the load balancer, then modifies the service"
        return failed(HopName.ZONES, f"no zone in common: {both}", hint)
    return passed(HopName.ZONES, f"{_list(common)} in common ({both})")


def balancer(seen: Evidence) -> Hop:
    """Whether the service has a load balancer of the right kind, on the inside."""
    provider = _known(seen)
    if provider is None:
        return _unseen(seen, HopName.BALANCER, "the load balancer's type, scheme and state")
    if not provider.balancers:
        hint = "the provider gives the service an internal network load balancer"
        return failed(HopName.BALANCER, "the service has no load balancer", hint)
    found = "; ".join(f"{one.kind}, {one.scheme}, {one.state} in {_list(one.zones)}" for one in provider.balancers)
    wrong = [one for one in provider.balancers if (one.kind, one.scheme) != ("network", "internal")]
    if wrong:
        hint = f"replace {wrong[0].arn} by an internal network load balancer"
        return failed(HopName.BALANCER, found, hint)
    broken = [one for one in provider.balancers if one.state not in ("", "active")]
    if broken:
        return failed(HopName.BALANCER, found, f"wait until {broken[0].arn} is active")
    return passed(HopName.BALANCER, found)


def listeners(seen: Evidence) -> Hop:
    """Whether every port that somebody means to use is listened on: one listener for each backend port."""
    provider = _known(seen)
    if provider is None:
        return _unseen(seen, HopName.LISTENERS, "the load balancer's listener ports")
    found = f"TCP {_list(str(port) for port in provider.listeners)}"
    missing = [port for port in seen.wanted_ports if port not in provider.listeners]
    if missing or not provider.listeners:
        ports = _list(str(port) for port in missing) or "any port"
        hint = f"the provider adds a listener with a target group for {ports} (tieline expose --to HOST:PORT)"
        return failed(HopName.LISTENERS, f"nothing listens on {ports}; listeners: {found}", hint)
    return passed(HopName.LISTENERS, found)


def targets(seen: Evidence) -> Hop:
    """Whether each listener that is meant to be used has a healthy target."""
    provider = _known(seen)
    if provider is None:
        return _unseen(seen, HopName.TARGETS, "the targets' health: aws elbv2 describe-target-health")
    ports = [port for port in seen.wanted_ports or provider.listeners if port in provider.listeners]
    dead = [port for port in ports if not any(one.state == HEALTHY for one in _behind(provider, port))]
    told = "; ".join(_target_words(one) for one in provider.targets if one.listen in (dead or ports))
    if not dead:
        return passed(HopName.TARGETS, told or "no listener to look behind") if ports else _nothing()
    if all(any(one.state == TRANSIENT for one in _behind(provider, port)) for port in dead):
        return unknown(HopName.TARGETS, told, "the first health checks are under way: look again in a while")
    hint = (
        "check that the backend runs, the health check's port, and the security group: it must admit the "
        "load balancer's addresses"
    )
    return failed(HopName.TARGETS, told or f"no target is registered behind {_list(map(str, dead))}", hint)


def _nothing() -> Hop:
    return unknown(HopName.TARGETS, "there is no listener to look behind")


def _behind(provider: Provider, port: int) -> list[Target]:
    return [one for one in provider.targets if one.listen == port]


def _target_words(one: Target) -> str:
    why = ": ".join(filter(None, (one.reason, one.description)))
    return f"{one.listen} -> {one.target} {one.state}{f' ({why})' if why else ''}"


def _known(seen: Evidence) -> Provider | None:
    """The provider's account, if it was asked and has the service."""
    return seen.provider if seen.provider and not seen.provider.error and seen.provider.exists else None


def _unseen(seen: Evidence, hop: HopName, what: str) -> Hop:
    if seen.provider and seen.provider.error:
        return unknown(hop, seen.provider.error, "check --profile, --credentials and --endpoint-url")
    if seen.provider:
        return unknown(hop, "the service is not there to be looked at")
    return unknown(hop, "the provider's account was not asked", ASK + what)


def _ask_for_service(seen: Evidence) -> str:
    return (
        f"ask the provider whether {service_id(seen.service_name)} still exists, and to allow {seen.principal}; "
        "doctor with the provider's --profile tells which"
    )


def _list(items: object) -> str:
    words = [str(item) for item in items] if hasattr(items, "__iter__") else []
    return ", ".join(words) or "none"
