"""CloudWatch: what links carry and refuse, by AWS's own metrics of PrivateLink and load balancers, and by ours.

AWS/PrivateLinkEndpoints is the consumer's view, AWS/PrivateLinkServices the provider's. `tieline/PrivateLink` tells
what AWS does not: both directions apart, each listener port, and why something was refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any

from tieline.fabric.aws.protocol.errors import validation_error
from tieline.fabric.aws.service.calls import Answer, Call, operation
from tieline.fabric.aws.service.pages import page
from tieline.fabric.core import health
from tieline.fabric.core.figures import ACTIVE, Key
from tieline.fabric.core.records import Endpoint, EndpointService, TargetGroup

ENDPOINTS, SERVICES, BALANCERS = "AWS/PrivateLinkEndpoints", "AWS/PrivateLinkServices", "AWS/NetworkELB"
OWN = "tieline/PrivateLink"
BYTES, REFUSED = ("BytesSent", "BytesReceived"), ("RefusedBySecurityGroup", "RefusedWithoutTarget")
PACKETS, RESETS = ("PacketsSent", "PacketsReceived"), ("RstPacketsSent", "RstPacketsReceived")
LISTENERLESS, FULL = "RefusedWithoutListener", "RefusedFlowTableFull"
SUMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # AWS's names, and the figures that they are the sum of
    ENDPOINTS: {
        ACTIVE: (ACTIVE,),
        "BytesProcessed": BYTES,
        "NewConnections": ("NewConnections",),
        "PacketsDropped": (*REFUSED, LISTENERLESS),
        "RstPacketsReceived": ("RstPacketsReceived",),
    },
    SERVICES: {
        ACTIVE: (ACTIVE,),
        "BytesProcessed": BYTES,
        "NewConnections": ("NewConnections",),
        "RstPacketsSent": ("RstPacketsReceived",),  # the same packets, seen from where they come from
    },
    OWN: {
        name: (name,) for name in (ACTIVE, "NewConnections", *BYTES, *PACKETS, *RESETS, *REFUSED, LISTENERLESS, FULL)
    },
}
STATISTICS: Mapping[str, Callable[[list[float]], float]] = {
    "Sum": sum,
    "Average": fmean,
    "Minimum": min,
    "Maximum": max,
    "SampleCount": len,
}
SHORTEST = 60  # seconds, and every period is a multiple of it
QUERIES = 500  # of one request (AWS)
LISTED = 500  # metrics of a page (AWS)
HEALTHY, UNHEALTHY = "HealthyHostCount", "UnHealthyHostCount"


@dataclass(frozen=True)
class Metric:
    """A metric of the caller's: its dimensions, and the keys whose figures it is made of."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    keys: tuple[Key, ...] = ()

    @property
    def id(self) -> str:
        return "|".join((self.namespace, self.name, *(f"{n}={v}" for n, v in sorted(self.dimensions.items()))))


@operation("cloudwatch", "GetMetricData", "MetricDataQueries StartTime EndTime ScanBy")
def get_metric_data(call: Call) -> Answer:
    """The points of each query, the newest first. A metric that is not the caller's, or not there, has none."""
    if len(call.p["MetricDataQueries"]) > QUERIES:
        raise validation_error(f"MetricDataQueries must not have more than {QUERIES} members.")
    if call.p["StartTime"] >= call.p["EndTime"]:
        raise validation_error("The parameter StartTime must be less than the parameter EndTime.")
    known = {metric.id: metric for metric in _known(call)}
    results = [_result(call, query, known) for query in call.p["MetricDataQueries"]]
    shown = [one for query, one in zip(call.p["MetricDataQueries"], results, strict=True) if _returned(query)]
    return {"MetricDataResults": shown, "Messages": []}


@operation("cloudwatch", "ListMetrics", "Namespace MetricName Dimensions NextToken")
def list_metrics(call: Call) -> Answer:
    """The metrics that the caller can ask for."""
    namespace, name = call.p.get("Namespace"), call.p.get("MetricName")
    wanted = {one["Name"]: one.get("Value") for one in call.p.get("Dimensions", [])}
    chosen = [
        metric
        for metric in _known(call)
        if namespace in (None, metric.namespace)
        and name in (None, metric.name)
        and all(n in metric.dimensions and v in (None, metric.dimensions[n]) for n, v in wanted.items())
    ]
    shown, token = page(chosen, LISTED, call.p.get("NextToken"), context="ListMetrics")
    answer: Answer = {"Metrics": [_render(metric) for metric in shown]}
    return answer | ({"NextToken": token} if token else {})


def _result(call: Call, query: Mapping[str, Any], known: Mapping[str, Metric]) -> dict[str, Any]:
    if "MetricStat" not in query:
        raise validation_error(f"tieline computes no expressions: the query {query['Id']} must have a MetricStat.")
    wanted = query["MetricStat"]
    statistic, period = wanted["Stat"], query["MetricStat"]["Period"]
    if statistic not in STATISTICS:
        raise validation_error(f"The statistic {statistic[:40]} is not kept. Use one of {', '.join(STATISTICS)}.")
    if period < SHORTEST or period % SHORTEST:
        raise validation_error(f"Period must be a multiple of {SHORTEST}.")
    asked = wanted["Metric"]
    dimensions = {one["Name"]: one["Value"] for one in asked.get("Dimensions", [])}
    metric = known.get(Metric(asked.get("Namespace", ""), asked.get("MetricName", ""), dimensions).id)
    points = _points(call, metric, timedelta(seconds=period)) if metric else {}
    newest_first = call.p.get("ScanBy") != "TimestampAscending"
    moments = sorted(points, reverse=newest_first)
    return {
        "Id": query["Id"],
        "Label": query.get("Label") or asked.get("MetricName", ""),
        "Timestamps": moments,
        "Values": [float(STATISTICS[statistic](points[moment])) for moment in moments],
        "StatusCode": "Complete",
    }


def _points(call: Call, metric: Metric, period: timedelta) -> dict[datetime, list[float]]:
    start, end = call.p["StartTime"], call.p["EndTime"]
    if metric.namespace in SUMS and metric.name in SUMS[metric.namespace]:
        return call.book.points(metric.keys, SUMS[metric.namespace][metric.name], start, end, period)
    now = datetime.fromtimestamp(call.now.timestamp() // SHORTEST * SHORTEST, UTC)
    return {now: [_present(call, metric)]} if start <= call.now else {}


def _present(call: Call, metric: Metric) -> float:
    """What is not kept by the minute: counts of what there is now."""
    if metric.name == "EndpointsCount":
        return float(len(metric.keys))
    group = next(g for g in call.mine(TargetGroup) if _short(g.id) == metric.dimensions["TargetGroup"])
    healthy = sum(health.is_healthy(call.world, group, one) for one in group.targets)
    return float(healthy if metric.name == HEALTHY else len(group.targets) - healthy)


def _known(call: Call) -> Iterator[Metric]:
    for endpoint in call.mine(Endpoint):
        yield from _of_endpoint(call, endpoint)
    for service in call.mine(EndpointService):
        yield from _of_service(call, service)
    for group in call.mine(TargetGroup):
        used = health.balancer_of(call.world, group)
        if used is not None:
            dimensions = {"LoadBalancer": _short(used[0].id), "TargetGroup": _short(group.id)}
            yield from (Metric(BALANCERS, name, dimensions) for name in (HEALTHY, UNHEALTHY))


def _of_endpoint(call: Call, endpoint: Endpoint) -> Iterator[Metric]:
    ports = call.book.ports(endpoint.id)
    keys = _keys(call, [endpoint])
    dimensions = {
        "Endpoint Type": "Interface",
        "Service Name": endpoint.service_name,
        "VPC Endpoint Id": endpoint.id,
        "VPC Id": endpoint.vpc,
    }
    yield from (Metric(ENDPOINTS, name, dimensions, keys) for name in SUMS[ENDPOINTS])
    own = {"VPC Endpoint Id": endpoint.id}
    for name in SUMS[OWN]:
        yield Metric(OWN, name, own, ((endpoint.vpc, ""),) if name == FULL else keys)
        if name not in (FULL, LISTENERLESS):
            yield from (Metric(OWN, name, {**own, "Port": port}, ((endpoint.id, port),)) for port in ports)


def _of_service(call: Call, service: EndpointService) -> Iterator[Metric]:
    endpoints = call.world.where(Endpoint, "service", service.id)
    views: list[tuple[dict[str, str], list[Endpoint]]] = [({"Service Id": service.id}, endpoints)]
    views += [({"Service Id": service.id, "VPC Endpoint Id": one.id}, [one]) for one in endpoints]
    for dimensions, those in views:
        yield from (Metric(SERVICES, name, dimensions, _keys(call, those)) for name in SUMS[SERVICES])
    yield Metric(SERVICES, "EndpointsCount", {"Service Id": service.id}, tuple((one.id, "") for one in endpoints))


def _keys(call: Call, endpoints: Iterable[Endpoint]) -> tuple[Key, ...]:
    return tuple((one.id, port) for one in endpoints for port in ("", *call.book.ports(one.id)))


def _short(arn: str) -> str:
    """What CloudWatch calls a load balancer or a target group: the end of its ARN."""
    return arn.split(":", 5)[5].removeprefix("loadbalancer/")


def _render(metric: Metric) -> dict[str, Any]:
    pairs = [{"Name": name, "Value": value} for name, value in metric.dimensions.items()]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": pairs}


def _returned(query: Mapping[str, Any]) -> bool:
    return query.get("ReturnData") is not False
