"""What a link carries: bytes per second each way and open connections, as the deployment's agent counts them."""

from __future__ import annotations

from dataclasses import dataclass

from tieline.client.rest import ClientError
from tieline.cloud.agents.traffic import SECONDS as KEPT
from tieline.cloud.schemas.answers import LinkTraffic
from tieline.console.frame import parts
from tieline.console.frame.charts import BYTES, Chart, numbers, rates, size
from tieline.console.frame.shell import Desk, words
from tieline.console.session.rest import Rest

SECONDS = 1.0  # between two looks; the agent reports every two


@dataclass(frozen=True)
class Carried:
    """What was read; `problem` says why it could not be."""

    traffic: LinkTraffic | None = None
    problem: str = ""


async def carried(view: Desk, deployment: str, key: str) -> None:
    """The card: numbers, the chart of bytes, the chart of connections."""

    def read(client: Rest) -> Carried:
        try:
            found = client.traffic(deployment, KEPT, key)
        except ClientError as error:
            return Carried(problem=words(error) if error.status != 404 else "")
        return Carried(found[0] if found else None)

    here = await view.beside(f"traffic {deployment} {key}", read, SECONDS)
    with parts.card("Traffic"):
        here.live(lambda now: (now.problem, _told(now.traffic)), lambda told: _now(*told))
        with parts.tag("div", "grid"):
            sent = Chart("Bytes per second over the last minutes", BYTES)
            flows = Chart("Open connections over the last minutes")

        def draw(now: Carried) -> None:
            samples = now.traffic.samples if now.traffic else []
            sent.show([("to the service", rates(samples, 2)), ("from the service", rates(samples, 3))])
            flows.show([("connections", [(sample.time, sample.flows) for sample in samples])])

        draw(here.now)
        here.follow(draw)


def _told(found: LinkTraffic | None) -> tuple[tuple[str, str], ...]:
    if found is None:
        return ()
    return (
        ("to the service", f"{size(found.sent_per_second)}/s"),
        ("from the service", f"{size(found.received_per_second)}/s"),
        ("connections open", str(found.flows)),
        ("sent in all", size(found.sent)),
        ("received in all", size(found.received)),
    )


def _now(problem: str, told: tuple[tuple[str, str], ...]) -> None:
    if problem:
        parts.problem(problem)
    numbers(told)
    parts.say("Of the connections that the deployment's rules keep through this link.", "muted")
