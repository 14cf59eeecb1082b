"""What links carry and refuse, as CloudWatch tells: AWS's own metrics of an endpoint, and the fabric's finer ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from tieline.cloud.aws.client import Aws, AwsError

Metric = dict[str, Any]  # as ListMetrics tells it

NAMESPACES = ("tieline/PrivateLink", "AWS/PrivateLinkEndpoints")  # AWS has the second alone
ENDPOINT, PORT = "VPC Endpoint Id", "Port"
ACTIVE = "ActiveConnections"  # an amount at a time; all others add up
WINDOW = timedelta(minutes=60)
PERIOD = 60  # seconds
QUERIES = 500  # of one request (CloudWatch API reference)


class LinkFigures(BaseModel):
    """The sums of the last hour, and the flows that were open in the last minute; by metric, as AWS names them."""

    totals: dict[str, float] = Field(default={}, examples=[{"BytesSent": 1024.0, "ActiveConnections": 2.0}])
    ports: dict[str, dict[str, float]] = Field(default={}, description="the same by listener port, such as tcp:5432")
    error: str = Field(default="", description="why there are none")


async def figures(aws: Aws, endpoint: str = "") -> dict[str, LinkFigures]:
    """The figures of an endpoint, or of all, by endpoint; raises AwsError."""
    metrics = await aws.cloudwatch(lambda cloudwatch: list(_listed(cloudwatch, endpoint)))
    found: dict[str, LinkFigures] = {}
    for first in range(0, len(metrics), QUERIES):
        some = metrics[first : first + QUERIES]
        for metric, values in await _values(aws, some):
            _note(found, metric, values)
    return found


async def figures_of(aws: Aws, endpoint: str) -> LinkFigures:
    """The figures of one endpoint; where AWS does not tell them, why."""
    if not endpoint:
        return LinkFigures(error="the link has no endpoint")
    try:
        return (await figures(aws, endpoint)).get(endpoint, LinkFigures())
    except AwsError as error:
        return LinkFigures(error=str(error))


def _listed(cloudwatch: Any, endpoint: str) -> Iterator[Metric]:
    """The metrics of an endpoint, or of all; by port for one alone, and each name from the first that has it."""
    dimension: dict[str, str] = {"Name": ENDPOINT, **({"Value": endpoint} if endpoint else {})}
    seen = set()
    for namespace in NAMESPACES:
        for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace=namespace, Dimensions=[dimension]):
            for metric in page["Metrics"]:
                place = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
                key = metric["MetricName"], place[ENDPOINT], place.get(PORT, ""), place.get("Subnet Id", "")
                if key not in seen and (endpoint or PORT not in place) and "Subnet Id" not in place:
                    seen.add(key)
                    yield metric


async def _values(aws: Aws, metrics: Sequence[Metric]) -> list[tuple[Metric, list[float]]]:
    """The values of each metric, the newest first."""
    end = datetime.now(UTC)
    queries = [
        {
            "Id": f"m{number}",
            "MetricStat": {"Metric": metric, "Period": PERIOD, "Stat": _statistic(metric)},
        }
        for number, metric in enumerate(metrics)
    ]
    span = {"StartTime": end - WINDOW, "EndTime": end + timedelta(seconds=PERIOD), "ScanBy": "TimestampDescending"}
    answer = await aws.cloudwatch(lambda cloudwatch: cloudwatch.get_metric_data(MetricDataQueries=queries, **span))
    by_id = {one["Id"]: one for one in answer["MetricDataResults"]}
    recent = end - timedelta(seconds=2 * PERIOD)
    found = []
    for number, metric in enumerate(metrics):
        result = by_id.get(f"m{number}", {"Values": [], "Timestamps": []})
        values = list(zip(result["Timestamps"], result["Values"], strict=True))
        if metric["MetricName"] == ACTIVE:
            values = [pair for pair in values if pair[0] >= recent][:1]
        found.append((metric, [value for _, value in values]))
    return found


def _statistic(metric: Metric) -> str:
    return "Maximum" if metric["MetricName"] == ACTIVE else "Sum"


def _note(found: dict[str, LinkFigures], metric: Metric, values: Iterable[float]) -> None:
    place = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
    link = found.setdefault(place[ENDPOINT], LinkFigures(totals={}, ports={}))
    totals = link.ports.setdefault(place[PORT], {}) if PORT in place else link.totals
    totals[metric["MetricName"]] = sum(values)
