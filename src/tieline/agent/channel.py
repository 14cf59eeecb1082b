"""The agent's line to its platform: dialled from inside, for ever, with pauses that grow."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tieline.agent import compat
from tieline.agent.dial import dial
from tieline.agent.latest_config import Newest
from tieline.agent.protocol import (
    AGENT_HEADER,
    AGENT_PATH,
    GONE,
    MAX_FRAME,
    Answered,
    Configure,
    Dial,
    Dialled,
    Probe,
    Probed,
    Request,
    ToAgent,
    decode_for_agent,
    encode,
)
from tieline.agent.worker import Worker

log = logging.getLogger(__name__)

FIRST_PAUSE, LAST_PAUSE = 0.2, 15.0  # seconds between attempts; doubled, and shortened at random by up to a half
REPORT_SECONDS = 2.0  # between two reports when nothing changed
PING_SECONDS = 10.0  # without an answer for as long again, the line is dead


class Dismissed(Exception):
    """The deployment was deleted: there is nothing left to do."""


class Channel:
    """Keeps one WebSocket to the platform: configurations and questions in, reports and answers out."""

    def __init__(self, platform: str, token: str, id: str, due: asyncio.Event, authority: Path | None = None) -> None:
        scheme, _, rest = platform.rstrip("/").partition("://")
        self._url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}{AGENT_PATH}"
        self._headers = {"Authorization": f"Bearer {token}", AGENT_HEADER: id}
        self._context = ssl.create_default_context(cafile=authority) if scheme == "https" else None
        self._due = due
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self, worker: Worker, newest: Newest) -> None:
        """For ever: be connected. Raises Dismissed where the platform says that the deployment is gone."""
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._dial() as line:
                    log.info("connected to %s", self._url)
                    pause = FIRST_PAUSE
                    await self._talk(line, worker, newest)
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed, msgspec.DecodeError) as error:
                log.warning("no line to %s: %s; working from the last configuration", self._url, error or repr(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, LAST_PAUSE)

    def _dial(self) -> connect:
        return connect(
            self._url,
            ssl=self._context,
            additional_headers=self._headers,
            max_size=MAX_FRAME,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            proxy=None,
        )

    async def _talk(self, line: ClientConnection, worker: Worker, newest: Newest) -> None:
        reporting = asyncio.create_task(self._report(line, worker), name="reports")
        try:
            async for frame in line:
                match _heard(frame, newest.wanted):
                    case Configure() as message:
                        newest.put(message)
                    case Probe() | Dial() | Request() as question:
                        self._later(self._answer(line, worker, question))
                    case Probed() | Answered() as refused:
                        await line.send(encode(refused).decode())
        except ConnectionClosed:
            if line.close_code == GONE:
                raise Dismissed from None
        finally:
            reporting.cancel()
        log.warning("the platform closed the line: %s %s", line.close_code, line.close_reason)

    async def _report(self, line: ClientConnection, worker: Worker) -> None:
        while True:
            self._due.clear()
            try:
                report = encode(await worker.report()).decode()
            except Exception:
                log.exception("no report could be made; the next one follows")
            else:
                await line.send(report)
            try:
                async with asyncio.timeout(REPORT_SECONDS):
                    await self._due.wait()
            except TimeoutError:
                continue

    async def _answer(self, line: ClientConnection, worker: Worker, question: Probe | Dial | Request) -> None:
        answer: Probed | Dialled | Answered
        match question:
            case Probe():
                answer = await worker.probe(question)
            case Dial():
                answer = await dial(question)
            case Request():
                answer = await worker.perform(question)
        await line.send(encode(answer).decode())

    def _later(self, answering: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(answering, name="answer")
        self._answering.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("an answer could not be sent: %s", error)


def _heard(frame: bytes | str, present: Configure | None) -> ToAgent | Probed | Answered:
    """The message, as far as this agent knows it, or the answer to a question that it does not know."""
    try:
        return decode_for_agent(frame)
    except msgspec.ValidationError as error:
        log.warning("a newer platform's message is not understood: %s", error)
        return compat.heard(frame, present)
