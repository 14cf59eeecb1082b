"""The agents that are connected: one per deployment, told of every change, asked to probe, heard when they report."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from tieline.agent.protocol import (
    GONE,
    REPLACED,
    Answered,
    Carried,
    Configure,
    Dial,
    Dialled,
    Metrics,
    Probe,
    Probed,
    Report,
    Request,
    Status,
    ToAgent,
    decode_for_platform,
    encode,
)
from tieline.base.secrets import new_id
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.schemas.answers import AgentView
from tieline.integration.config.shapes import Action, Resource
from tieline.integration.worker import totals
from tieline.integration.worker.messages import Answer, Asked

log = logging.getLogger(__name__)

PROBE_SECONDS = 15.0  # as long as EMQX waits for a resource's dry run (emqx.md, 2.3)
ANSWER_SECONDS = 3.0  # for the way there and back, beyond the probe itself
REQUEST_SECONDS = 20.0  # for an agent's answer about letters or counters
PROTOCOL_ERROR, POLICY_VIOLATION = 1002, 1008  # RFC 6455, 7.4.1
NOTHING = Report(applied=-1, broker=False)


class Connection:
    """One agent's WebSocket, the questions that wait for its answer, and the newest configuration to send."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.report = NOTHING
        self.outdated = False  # whether its agent is to hear of a newer configuration
        self.telling = False  # whether it is being told
        self.ended = False  # whether it is being closed: what its agent says and asks does not count any more
        self.waiting: dict[str, asyncio.Future[Probed | Dialled | Answered]] = {}

    async def send(self, message: ToAgent) -> None:
        """Send one message; a connection that just broke is noticed by its reader."""
        if self.ended:
            return
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await self.socket.send_text(encode(message).decode())

    async def close(self, code: int) -> None:
        """End the connection with a code that tells the agent why."""
        self.ended = True
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await self.socket.close(code)

    def fail_waiting(self) -> None:
        """Nobody will answer any more."""
        for waiter in self.waiting.values():
            waiter.cancel()


class Hub:
    """Connections by deployment id. `configure` gives a deployment's present configuration, None where it is gone;
    `reported` hears of each report, `changed` of each that has news, and of agents that come and go."""

    def __init__(
        self,
        configure: Callable[[str], Configure | None],
        reported: Callable[[str, Report], None],
        changed: Callable[[], None],
    ) -> None:
        self._configure = configure
        self._reported = reported
        self._changed = changed
        self._connections: dict[str, dict[str, Connection]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def view(self, deployment: str) -> AgentView:
        """What is known of a deployment's agent; of several, what holds for all of them."""
        connections = self._of(deployment)
        if not connections:
            return AgentView()
        report = self.report(deployment)
        return AgentView(
            connected=True,
            agents=len(connections),
            broker=report.broker,
            applied=report.applied,
            error=report.error,
            without_origin=report.without_origin,
            dead_letters=report.metrics.dead_letters.get("count", 0),
        )

    def report(self, deployment: str) -> Report:
        """The last report of a deployment's agent, of several their sum; an empty one while none is there."""
        reports = [connection.report for connection in self._of(deployment)]
        return together(reports) if reports else NOTHING

    def push(self, deployment: str) -> None:
        """Send the present configuration to the agents that are connected; end those of a deleted deployment.

        However often it is called while one is sent, one more follows: the newest.
        """
        for connection in self._of(deployment):
            connection.outdated = True
            if not connection.telling:
                connection.telling = True
                self._later(self._tell(deployment, connection))

    async def _tell(self, deployment: str, connection: Connection) -> None:
        try:
            while connection.outdated:
                connection.outdated = False
                message = self._configure(deployment)
                await (connection.close(GONE) if message is None else connection.send(message))
        finally:
            connection.telling = False

    def hang_up(self, deployment: str) -> None:
        """End the lines of a deployment's agents: they come back with a token that is good now, or not at all. Nothing
        is asked of them from now on, and nothing believed, however long they take to hang up.
        """
        for connection in self._connections.pop(deployment, {}).values():
            connection.ended = True
            connection.fail_waiting()
            self._later(connection.close(POLICY_VIOLATION))

    async def serve(self, deployment: str, socket: WebSocket, agent: str = "") -> None:
        """Talk to an agent that proved its token, until one side leaves; a predecessor of the same id is closed."""
        connection = Connection(socket)
        agents = self._connections.setdefault(deployment, {})
        previous, agents[agent] = agents.get(agent), connection
        if previous is not None:
            self._later(previous.close(REPLACED))
        try:
            self.push(deployment)
            self._changed()
            await self._listen(deployment, connection)
        except WebSocketDisconnect:
            log.info("the agent of %s left", deployment)
        except (msgspec.DecodeError, KeyError) as error:  # KeyError: a frame that is not text
            log.warning("the agent of %s sent what is no message: %s", deployment, error)
            await connection.close(PROTOCOL_ERROR)
        finally:
            if agents.get(agent) is connection:
                del agents[agent]
            if not agents and self._connections.get(deployment) is agents:
                del self._connections[deployment]
            connection.fail_waiting()
            self._changed()

    def _of(self, deployment: str) -> list[Connection]:
        return list(self._connections.get(deployment, {}).values())

    async def _listen(self, deployment: str, connection: Connection) -> None:
        while True:
            message = decode_for_platform(await connection.socket.receive_text())
            if connection.ended:
                return
            match message:
                case Probed() | Dialled() | Answered() as answer:
                    waiter = connection.waiting.pop(answer.id, None)
                    if waiter is not None and not waiter.done():
                        waiter.set_result(answer)
                case Report() as report:
                    news = report != connection.report
                    connection.report = report
                    self._reported(deployment, report)
                    if news:
                        self._changed()

    async def probe(
        self, deployment: str, resource: Resource, actions: tuple[Action, ...] = (), seconds: float = PROBE_SECONDS
    ) -> None:
        """Try a resource from inside its deployment; raises PlatformError TEST_FAILED with the hop that failed."""
        question = Probe(id=new_id("probe"), resource=resource, actions=actions, timeout=seconds)
        answer = await self._ask(deployment, question, seconds + ANSWER_SECONDS)
        if isinstance(answer, Probed) and answer.hop:
            raise probe_failed(answer.hop, answer.message, answer.hint, cause=answer.cause)

    async def dial(self, deployment: str, host: str, ports: tuple[int, ...], seconds: float) -> Dialled:
        """Resolve a name and connect to its ports from inside the deployment; raises PlatformError, hop agent."""
        question = Dial(id=new_id("dial"), host=host, ports=ports, timeout=seconds)
        answer = await self._ask(deployment, question, 2 * seconds + ANSWER_SECONDS)
        if isinstance(answer, Dialled):
            return answer
        raise probe_failed("agent", "the deployment's agent gave another answer", "bring the agent up to date")

    async def request(self, deployment: str, asked: Asked) -> Answer:
        """What the agents answer about letters and counters, as one answer; raises PlatformError where one does not."""
        connections = self._of(deployment)
        if not connections:
            raise PlatformError(
                503, "AGENT_AWAY", "the deployment's agent is not connected", "start it, or wait for it"
            )
        questions = [(connection, Request(id=new_id("request"), asked=asked)) for connection in connections]
        answers = await asyncio.gather(*(self._put(where, one, REQUEST_SECONDS) for where, one in questions))
        told = [answer for answer in answers if isinstance(answer, Answered)]
        if failed := next((answer.error for answer in told if answer.error), ""):
            raise PlatformError(502, "AGENT_FAILED", f"the agent could not do it: {failed}", "see the agent's log")
        return totals.answers(asked, [answer.answer for answer in told])

    async def _ask(self, deployment: str, question: Probe | Dial, seconds: float) -> Probed | Dialled | Answered:
        """One agent's answer to a question; raises PlatformError, hop agent, where there is none."""
        return await self._put(next(iter(self._of(deployment)), None), question, seconds)

    async def _put(
        self, connection: Connection | None, question: Probe | Dial | Request, seconds: float
    ) -> Probed | Dialled | Answered:
        if connection is None:
            raise probe_failed("agent", "the deployment's agent is not connected", "start it, or wait until it is back")
        waiter: asyncio.Future[Probed | Dialled | Answered] = asyncio.get_running_loop().create_future()
        connection.waiting[question.id] = waiter
        try:
            async with asyncio.timeout(seconds):
                await connection.send(question)
                return await waiter
        except TimeoutError as error:
            message = f"the deployment's agent did not answer within {seconds:.0f} s"
            raise probe_failed("agent", message, "try again; its log says what keeps it") from error
        except asyncio.CancelledError:
            if not waiter.cancelled():
                raise
            raise probe_failed("agent", "the deployment's agent left meanwhile", "try again in a moment") from None
        finally:
            connection.waiting.pop(question.id, None)

    async def close(self) -> None:
        """Wait for what is being sent."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _later(self, sending: Any) -> None:
        task = asyncio.ensure_future(sending)
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("an agent could not be told", exc_info=error)


def together(reports: Sequence[Report]) -> Report:
    """Several agents' reports as one: counters are added, and what is worst is told."""
    if len(reports) == 1:
        return reports[0]
    version = min(report.applied for report in reports)
    metrics = totals.metrics([msgspec.to_builtins(report.metrics) for report in reports], version)
    status = totals.status([msgspec.to_builtins(report.status) for report in reports], version)
    return Report(
        applied=version,
        broker=all(report.broker for report in reports),
        stopped=all(report.stopped for report in reports),
        without_origin=max(report.without_origin for report in reports),
        error="; ".join(dict.fromkeys(report.error for report in reports if report.error)),
        metrics=msgspec.convert(metrics, Metrics),
        status=msgspec.convert(status, Status),
        traffic=carried([report.traffic for report in reports]),
    )


def carried(those: Sequence[Mapping[str, Carried]]) -> dict[str, Carried]:
    """What several agents' connections carry, server by server."""
    total: dict[str, Carried] = {}
    for server, more in (item for one in those for item in one.items()):
        known = total.get(server, Carried())
        total[server] = Carried(known.flows + more.flows, known.sent + more.sent, known.received + more.received)
    return total


def probe_failed(hop: str, message: str, hint: str, **extra: object) -> PlatformError:
    """The answer to a failed Test: the first hop that does not work, and what helps."""
    return PlatformError(400, "TEST_FAILED", message, hint, hop=hop, **extra)
