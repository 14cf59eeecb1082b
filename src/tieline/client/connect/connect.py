"""From nothing to the first answer behind a private link, phase by phase; run again, it goes on where it stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from pydantic import BaseModel, Field

from tieline.client.connect import join
from tieline.client.connect.expose import expose
from tieline.client.connect.join import Join, next_step
from tieline.client.connect.plan import plan
from tieline.client.provider.consent import accept
from tieline.client.provider.exposure import Exposure
from tieline.client.provider.inspect import ask_provider
from tieline.client.provider.observe import observe
from tieline.client.rest import Client, ClientError
from tieline.cloud.aws.client import Aws
from tieline.cloud.doctor.diagnose import diagnosis
from tieline.cloud.doctor.health import Backend, LinkHealth, backend_health
from tieline.cloud.doctor.hops import Diagnosis
from tieline.cloud.links.states import service_id
from tieline.cloud.model.records import LinkStatus, PrivateLinkView

POLL_SECONDS = 0.05
CHECK_SECONDS = 3.0  # the fabric's first checks take less; on AWS it ends with `initial`
SHOW_SECONDS = 15.0  # EC2 is eventually consistent: a permission may take so long to be seen by the other account


class Phase(BaseModel):
    """One line of progress: `seconds` is None while it is under way."""

    phase: str
    detail: str
    seconds: float | None = None


class Connected(BaseModel):
    """Where it ended: a link that was reached, or one that waits for consent; `phases` took so long."""

    service_name: str
    link: PrivateLinkView
    health: LinkHealth | None = None
    address_map: dict[str, str] = Field(
        default={}, description="each backend, and where it is reached: for resources whose servers announce the former"
    )
    phases: list[Phase] = []


class Preview(BaseModel):
    """What was found, zones first, and what would be done."""

    deployment_zones: list[str]
    provider_zones: list[str]
    common_zones: list[str]
    principal: str
    service_name: str = Field(default="", description="empty where it is yet to be made")
    steps: list[str]


class NotReached(Exception):
    """Everything is there, and no connection comes about: the diagnosis says where it stops."""

    def __init__(self, found: Diagnosis) -> None:
        super().__init__(f"hop {found.failing or 'unknown'}")
        self.diagnosis = found


class Connecting:
    """One deployment, one provider's account, one exposure. `tell` hears of each phase when it begins and ends."""

    def __init__(
        self,
        client: Client,
        aws: Aws,
        deployment: str,
        wanted: Exposure,
        tell: Callable[[Phase], None] = lambda _: None,
    ) -> None:
        self._client, self._aws, self._deployment, self._wanted = client, aws, deployment, wanted
        self._tell = tell
        self.phases: list[Phase] = []

    async def preview(self, consenting: bool) -> Preview:
        """Look at both sides and change nothing; raises what `run` would raise at once."""
        offer = await asyncio.to_thread(self._client.offer, self._deployment)
        wanted = replace(self._wanted, zones=tuple(offer.zones), principals=(offer.principal,))
        seen = await observe(self._aws, wanted.name, wanted.vpc)
        theirs = sorted({subnet.zone for subnet in seen.subnets})
        exposing = plan(wanted, seen)
        name = seen.service.name if seen.service else ""
        joining = join.preview(Join(wanted.name, name, wanted.ports, consenting), await self._find())
        return Preview(
            deployment_zones=offer.zones,
            provider_zones=theirs,
            common_zones=sorted({*offer.zones} & {*theirs}),
            principal=offer.principal,
            service_name=name,
            steps=[str(step) for step in (*exposing, *joining)],
        )

    async def run(self, consenting: bool, seconds: float) -> Connected:
        """Do all that is missing, within `seconds` for the waits; raises PlatformError, AwsError, ClientError,

        NotReached. Without `consenting` it ends where the provider is to be asked.
        """
        offer = await asyncio.to_thread(self._client.offer, self._deployment)
        wanted = replace(self._wanted, zones=tuple(offer.zones), principals=(offer.principal,))
        self._begin("zones", f"deployment in {', '.join(offer.zones)}; {offer.principal}")
        service = await expose(self._aws, wanted, lambda doing: self._begin("expose", doing))
        self._begin("service", service.name)
        asked = Join(wanted.name, service.name, wanted.ports, consenting)
        link = await self._join(asked, time.monotonic() + seconds)
        if link.status is not LinkStatus.RUNNING:
            self._end()
            return Connected(service_name=service.name, link=link, address_map=address_map(wanted), phases=self.phases)
        health = await self._reach(link, time.monotonic() + seconds)
        self._end()
        return Connected(
            service_name=service.name,
            link=link,
            health=health,
            address_map=address_map(wanted),
            phases=self.phases,
        )

    async def _join(self, wanted: Join, deadline: float) -> PrivateLinkView:
        """Step by step to a running link, or to one that waits for a consent that is not ours to give."""
        accepted = ""
        while True:
            link = await self._find()
            step = next_step(wanted, link)
            if link and isinstance(step, join.Reach | join.Ask):
                return link
            if link and time.monotonic() > deadline:
                await self._give_up(link)
            match step:
                case join.Create():
                    self._begin("link", str(step))
                    await self._until_visible(
                        lambda: self._client.create_link(
                            self._deployment, name=wanted.name, service_name=wanted.service_name, ports=wanted.ports
                        )
                    )
                case join.Reconnect():
                    self._begin("link", str(step))
                    await self._until_visible(
                        lambda: self._client.reconnect_link(
                            self._deployment, wanted.name, service_name=wanted.service_name, ports=wanted.ports
                        )
                    )
                case join.SetPorts(ports):
                    self._begin("link", str(step))
                    await asyncio.to_thread(self._set_ports, ports)
                case join.Accept(endpoint) if endpoint != accepted:
                    self._begin("consent", str(step))
                    await accept(self._aws, service_id(wanted.service_name), [endpoint])
                    accepted = endpoint
                    self._begin("running", str(join.Wait()))
            await asyncio.sleep(POLL_SECONDS)

    async def _until_visible(self, ask: Callable[[], PrivateLinkView]) -> None:
        """Ask, again while the permission that was just given is not seen yet."""
        deadline = time.monotonic() + SHOW_SECONDS
        while True:
            try:
                await asyncio.to_thread(ask)
                return
            except ClientError as error:
                if error.code != "NOT_ALLOWED" or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(POLL_SECONDS)

    async def _reach(self, link: PrivateLinkView, deadline: float) -> LinkHealth:
        self._begin("reach", f"connect to {', '.join(link.addresses) or link.address} from inside the deployment")
        while True:
            health = await asyncio.to_thread(self._client.link_health, self._deployment, link.name)
            if health.probe.reached:
                return health.model_copy(update={"backend": await self._backends(link)})
            if time.monotonic() > deadline:
                await self._give_up(link)
            await asyncio.sleep(POLL_SECONDS)

    async def _backends(self, link: PrivateLinkView) -> Backend:
        """How the backends are once their first checks are over, if that is soon: the ports were reached already."""
        deadline = time.monotonic() + CHECK_SECONDS
        while True:
            found = backend_health(await ask_provider(self._aws, link.service_name, link.endpoint), link.ports)
            if found != "initial" or time.monotonic() > deadline:
                return found
            await asyncio.sleep(POLL_SECONDS)

    async def _give_up(self, link: PrivateLinkView) -> None:
        raise NotReached(await examine(self._client, self._deployment, link.name, self._aws))

    def _set_ports(self, ports: tuple[int, ...]) -> None:
        path = ("deployments", self._deployment, "private-links", self._wanted.name)
        self._client.change(PrivateLinkView, *path, changes={"ports": ports})

    async def _find(self) -> PrivateLinkView | None:
        try:
            return await asyncio.to_thread(self._client.link, self._deployment, self._wanted.name)
        except ClientError as error:
            if error.status == 404 and "private link" in str(error):
                return None
            raise

    def _begin(self, phase: str, detail: str) -> None:
        self._end()
        self._began = time.monotonic()
        self.phases.append(Phase(phase=phase, detail=detail))
        self._tell(self.phases[-1])

    def _end(self) -> None:
        """What was under way is done."""
        if self.phases and self.phases[-1].seconds is None:
            took = round(time.monotonic() - self._began, 3)
            self.phases[-1] = self.phases[-1].model_copy(update={"seconds": took})
            self._tell(self.phases[-1])


def address_map(wanted: Exposure) -> dict[str, str]:
    """Where each backend is reached through the link, as a resource names it."""
    return {
        f"{one.host}:{one.port}": f"link:{wanted.name}:{port}" for port in wanted.ports for one in wanted.behind(port)
    }


async def examine(client: Client, deployment: str, link: str, aws: Aws | None) -> Diagnosis:
    """The diagnosis of a link with the provider's account as a witness, if its credentials are at hand."""
    found = await asyncio.to_thread(client.diagnose_link, deployment, link)
    if aws is None:
        return found
    seen = found.evidence
    provider = await ask_provider(aws, seen.service_name, seen.endpoint)
    return diagnosis(seen.model_copy(update={"provider": provider}))
