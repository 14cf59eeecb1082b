"""What private links carry, as the agents' reports tell: the last minutes, and the rate now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from tieline.agent.protocol import Carried
from tieline.base.servers import split_server
from tieline.cloud.model.records import PrivateLink
from tieline.cloud.schemas.answers import LinkTraffic, TrafficSample

SECONDS = 300.0  # that samples are kept unless retention says otherwise
APART = 1.0  # between two samples at least: a report that is due for another reason would make a wild rate
RATE_SECONDS = 5.0  # over which the present rate is taken: two reports at least


class TrafficLog:
    """Samples by deployment; what nobody reports any more is forgotten."""

    def __init__(self, kept: Callable[[], float] = lambda: SECONDS) -> None:
        self._kept = kept  # for how many seconds, now
        self._samples: dict[str, deque[tuple[float, Mapping[str, Carried]]]] = {}

    def note(self, deployment: str, now: float, totals: Mapping[str, Carried]) -> None:
        """Keep what a report tells."""
        samples = self._samples.setdefault(deployment, deque())
        if samples and now < samples[-1][0] + APART:
            return
        samples.append((now, totals))
        oldest = now - self._kept()
        for other in [name for name, kept in self._samples.items() if kept[-1][0] < oldest]:
            del self._samples[other]
        while samples[0][0] < oldest:
            samples.popleft()

    def of(self, links: Sequence[PrivateLink], deployment: str, since: float, now: float) -> list[LinkTraffic]:
        """What the links of a deployment carry now, with the samples since a time."""
        oldest = now - self._kept()
        kept = [sample for sample in self._samples.get(deployment, ()) if sample[0] >= oldest]
        servers: dict[str, list[str]] = {}  # by host
        for server in sorted(set().union(*(totals.keys() for _, totals in kept))):
            servers.setdefault(split_server(server)[1], []).append(server)
        return [_traffic(link, _samples(kept, servers.get(link.address, ())), since, now) for link in links]


def _traffic(link: PrivateLink, samples: Sequence[TrafficSample], since: float, now: float) -> LinkTraffic:
    last = samples[-1] if samples else TrafficSample(now, 0, 0, 0)
    recent = [sample for sample in samples if sample.time >= last.time - RATE_SECONDS]
    current = len(recent) > 1 and last.time > now - 2 * RATE_SECONDS
    seconds = last.time - recent[0].time if current else 0.0
    return LinkTraffic(
        id=link.id,
        link=link.name,
        flows=last.flows if current else 0,
        sent=last.sent,
        received=last.received,
        sent_per_second=max(0.0, last.sent - recent[0].sent) / seconds if seconds else 0.0,
        received_per_second=max(0.0, last.received - recent[0].received) / seconds if seconds else 0.0,
        samples=[sample for sample in samples if sample.time >= since],
    )


def _samples(kept: Sequence[tuple[float, Mapping[str, Carried]]], servers: Sequence[str]) -> list[TrafficSample]:
    """The sum over a link's ports at each time; none where no resource names the link."""
    if not servers:
        return []
    found = []
    for time, totals in kept:
        those = [totals[server] for server in servers if server in totals]
        sums = (sum(column) for column in zip(*((one.flows, one.sent, one.received) for one in those), strict=True))
        found.append(TrafficSample(time, *sums) if those else TrafficSample(time, 0, 0, 0))
    return found
