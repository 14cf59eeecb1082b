"""The agent's work: one broker and one pipeline, kept as the newest configuration says."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tieline.agent import compat, handover
from tieline.agent.brokers.event_publisher import Teller
from tieline.agent.brokers.mosquitto import Mosquitto, dialled
from tieline.agent.brokers.remote import RemoteBroker
from tieline.agent.brokers.settings import AGENT, Remote, Settings
from tieline.agent.former import Former
from tieline.agent.memory import forget, own_id, own_name, own_password, recall, remember
from tieline.agent.protocol import Answered, Configure, LeftOut, Metrics, Probe, Probed, Report, Request
from tieline.agent.traffic import Traffic
from tieline.integration.config.shapes import Broker, Config
from tieline.integration.sinks.base import reach
from tieline.integration.worker import totals
from tieline.integration.worker.pipeline import Pipeline
from tieline.integration.worker.probe import ProbeFailed, probe
from tieline.integration.worker.requests import perform
from tieline.integration.worker.workers import Workers, estates

log = logging.getLogger(__name__)


class Worker:
    """Runs what it is told. `changed` is called when a report is due."""

    def __init__(self, state: Path, changed: Callable[[], None]) -> None:
        self._state = state
        self._changed = changed
        self._password = own_password(state)
        self.id = own_id(state)
        self._name = own_name(state)  # the same after every restart: the broker keeps its sessions
        self._former = Former(state / "integration", self.id, self._inherit)
        self._own = Mosquitto(state / "broker", self._password, changed, self._subscribed)
        self._integrated = asyncio.Event()  # whether the pipeline knows the present configuration
        self._remote = RemoteBroker(changed)
        self._broker: Mosquitto | RemoteBroker = self._own
        self._connected: Broker | None = None
        self._pipeline: Pipeline | Workers | None = None
        self._running: asyncio.Task[None] | None = None
        self._current: Configure | None = None
        self._applied = -1
        self._settling: asyncio.Task[None] | None = None
        self._teller: Teller | None = None  # of what happens to clients
        self._told: Broker | None = None  # whose clients those are
        self._error = ""
        self._traffic = Traffic()

    def remembered(self) -> Configure | None:
        """The configuration of the last time; None where there was none."""
        return recall(self._state)

    @property
    def fault(self) -> str:
        """Why it does not run what it was told; "" where it does."""
        return self._error

    async def configure(self, message: Configure) -> None:
        """Run this configuration from now on; what cannot be done is in the report, and tried when it is put again."""
        if message == self._current and not self._error:
            return
        remember(self._state, message)
        reach.use(message.config.reach)
        self._integrated.clear()
        try:
            broker = await self._reach(message.broker)
            if broker is None:
                await self._stop()
                self._applied = message.config.version
            else:
                await self._integrate(message.config, broker, self._processes(message))
                self._integrated.set()
                await self._former.follow(broker, message.config, isinstance(message.broker, Settings))
                await self._tell(message.broker, broker)
                self._settle(message.config.version)
            self._error = ""
        except Exception as error:
            log.exception("configuration %d cannot be applied", message.config.version)
            self._error = f"configuration {message.config.version}: {type(error).__name__}: {error}"
        self._current = message
        self._changed()

    def _processes(self, message: Configure) -> int:
        """How many processes work. Without its plugin our own broker would lose what they share when it restarts."""
        return 1 if isinstance(message.broker, Settings) and self._own.without_origin else message.workers

    async def _subscribed(self) -> None:
        """Return when the broker has every subscription of the present configuration."""
        await self._integrated.wait()
        if self._pipeline is not None:
            await self._pipeline.ready()

    async def probe(self, question: Probe) -> Probed:
        """Try a resource; the answer names the hop that failed."""
        try:
            await probe(question.resource, question.actions, question.timeout)
        except ProbeFailed as error:
            return Probed(id=question.id, hop=error.hop, message=error.message, hint=error.hint, cause=error.cause)
        except Exception as error:
            log.exception("a Test failed in a way that nobody thought of")
            cause = f"{type(error).__name__}: {error}"
            hint = "report it with the agent's log"
            return Probed(id=question.id, hop="agent", message="the Test itself failed", hint=hint, cause=cause)
        return Probed(id=question.id)

    async def perform(self, request: Request) -> Answered:
        """What the integration answers about its letters and counters."""
        pipeline = self._pipeline
        if pipeline is None:
            return Answered(id=request.id, error="the deployment is stopped")
        try:
            if isinstance(pipeline, Workers):
                answer = await pipeline.perform(request.asked)
            else:
                answer = await perform(pipeline, request.asked)
        except Exception as error:
            log.exception("%s failed", type(request.asked).__name__)
            return Answered(id=request.id, error=f"{type(error).__name__}: {error}")
        return Answered(id=request.id, answer=answer, error=answer.error)

    async def report(self) -> Report:
        """How broker and pipeline stand, and what the connections carried."""
        await self._traffic.look(self._current.config.resources if self._current else (), time.monotonic())
        current = self._current
        left_out = current.left_out if current else LeftOut()
        return Report(
            applied=self._applied,
            broker=self._broker.running,
            stopped=current is not None and current.broker is None,
            without_origin=self._broker.without_origin,
            error=self._error or self._broker.error or compat.words(left_out),
            metrics=self._metrics(),
            status=compat.told(left_out, self._pipeline.status() if self._pipeline else {}),
            traffic=self._traffic.totals(),
        )

    def _metrics(self) -> Metrics:
        if self._pipeline is None:
            return Metrics()
        present, former = self._pipeline.metrics(), self._former.metrics()
        found = totals.metrics([present, *former], present["version"]) if former else present
        return msgspec.convert(found, Metrics)

    async def close(self, dismissed: bool = False) -> None:
        """Stop in good order; a dismissed agent keeps nothing."""
        await self._stop()
        await self._own.close()
        await self._remote.close()
        if dismissed:
            forget(self._state)

    async def _reach(self, wanted: Settings | Remote | None) -> Broker | None:
        """Have the broker that is wanted and no other, and tell the integration how to reach it."""
        if not isinstance(wanted, Settings):
            await self._own.close()
        if not isinstance(wanted, Remote):
            await self._remote.close()
        match wanted:
            case Settings():
                self._broker = self._own
                await self._own.apply(wanted)
                return Broker(
                    host=dialled(wanted.mqtt.host),
                    port=wanted.mqtt.port,
                    client_id=self._name,
                    username=AGENT,
                    password=self._password,
                    origin=not self._own.without_origin,
                )
            case Remote():
                self._broker = self._remote
                return await self._remote.apply(wanted, self._name)
            case _:
                return None

    async def _integrate(self, config: Config, broker: Broker, workers: int) -> None:
        """Bring the pipeline to the configuration; another broker or number of processes may need a new one."""
        works = self._running is not None and not self._running.done()
        several = isinstance(self._pipeline, Workers)
        if self._pipeline is not None and works and broker == self._connected and several == (workers > 1):
            if isinstance(self._pipeline, Workers):
                await self._pipeline.resize(workers)
            await self._pipeline.apply(config)
            return
        moved = broker != self._connected
        previous, ending = (None, None) if moved or not works else (self._pipeline, self._running)
        if previous is None:
            await self._stop()
        self._connected = broker
        try:
            await self._begin(broker, config, workers, previous)
            if previous is not None and self._pipeline is not None:
                await handover.heard(self._pipeline)
                await handover.part(previous, self._pipeline)
        except Exception:
            if previous is not None:
                await handover.undo(previous, self._pipeline)
                await self._fall_back(previous, ending)
            raise
        if previous is not None and ending is not None:
            await handover.retire(previous, ending)

    async def _fall_back(self, previous: Pipeline | Workers, running: asyncio.Task[None] | None) -> None:
        """Go on with the pipeline that works, and end the one that could not take its configuration."""
        failed, ending = self._pipeline, self._running
        self._pipeline, self._running = previous, running
        if failed is not None and failed is not previous and ending is not None:
            await handover.retire(failed, ending)

    async def _begin(
        self, broker: Broker, config: Config, workers: int, previous: Pipeline | Workers | None = None
    ) -> None:
        directory = self._state / "integration"
        self._pipeline = (
            Workers(broker, Config(), directory, workers) if workers > 1 else Pipeline(broker, Config(), directory)
        )
        self._running = asyncio.create_task(self._pipeline.run(), name="pipeline")
        self._running.add_done_callback(self._ended)
        await asyncio.sleep(0)  # it runs, and will take what is applied
        if previous is not None:
            await handover.begin(previous, self._pipeline)
        await self._pipeline.apply(config)
        if isinstance(self._pipeline, Pipeline):
            await self._pipeline.inherit(estates(directory)[1:])

    async def _inherit(self) -> None:
        """Take over what was left on disk since the pipeline began."""
        if isinstance(self._pipeline, Workers):
            await self._pipeline.inherit()
        elif self._pipeline is not None:
            await self._pipeline.inherit(estates(self._state / "integration")[1:])

    async def _tell(self, wanted: Settings | Remote | None, broker: Broker) -> None:
        """Publish what happens to clients while a rule reads it, once those rules are subscribed."""
        events = isinstance(wanted, Settings) and wanted.events
        if self._teller is not None and (not events or self._told != broker):
            teller, self._teller = self._teller, None
            await teller.close()
        if events and self._teller is None:
            self._teller, self._told = Teller(broker, self._own.peer), broker
            self._teller.start()

    def _settle(self, version: int) -> None:
        """Count a configuration as applied once the broker has confirmed its subscriptions: nothing is missed then."""
        pipeline = self._pipeline

        async def settle() -> None:
            if pipeline is not None:
                await pipeline.ready()
                if self._teller is not None:
                    await self._teller.ready.wait()
                self._applied = version
                self._changed()

        if self._settling is not None:
            self._settling.cancel()
        self._settling = asyncio.create_task(settle(), name="settle")

    def _ended(self, running: asyncio.Task[None]) -> None:
        """A pipeline that was not told to end is a fault, and said so."""
        if not running.cancelled() and (error := running.exception()):
            log.error("the pipeline ended", exc_info=error)
            self._error = f"the pipeline ended: {type(error).__name__}: {error}"
            self._changed()

    async def _stop(self) -> None:
        if self._teller is not None:
            teller, self._teller = self._teller, None
            await teller.close()
        if self._settling is not None:
            self._settling.cancel()
        await self._former.close()
        pipeline, self._pipeline = self._pipeline, None
        running, self._running = self._running, None
        if pipeline is not None:
            await pipeline.close()
        if running is not None:
            running.cancel()
            await asyncio.wait({running})
