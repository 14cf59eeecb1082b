"""A broker that somebody else runs: reached plainly or by TLS, and asked now and then whether it lets us in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tieline.agent.brokers.settings import Remote
from tieline.agent.brokers.tunnel import Tunnel
from tieline.integration.config.shapes import Broker
from tieline.integration.mqtt.handshake import Refused
from tieline.integration.mqtt.session import Session
from tieline.integration.mqtt.session_store import Memory

CHECK_SECONDS = 5.0  # between two logins that only look
ANSWER_SECONDS = 10.0
WITHOUT_ORIGIN = "rules see NULL as clientid and username: only the platform's own broker tells who published"


class RemoteBroker:
    """`changed` is called whenever it begins or ceases to let us in."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._remote: Remote | None = None
        self._tunnel: Tunnel | None = None
        self._watch: asyncio.Task[None] | None = None
        self.running = False
        self.error = ""
        self.without_origin = WITHOUT_ORIGIN

    async def apply(self, remote: Remote, client_id: str) -> Broker:
        """Use this broker from now on; how the integration reaches it. Raises ssl.SSLError for a wrong authority."""
        if remote != self._remote or self._watch is None:
            await self.close()
            host, port = remote.host, remote.port
            if remote.tls:
                self._tunnel = Tunnel(host, port, remote.authority, remote.server_name)
                host, port = "127.0.0.1", await self._tunnel.start()
            self._remote = remote
            self._broker = Broker(
                host=host,
                port=port,
                client_id=client_id,
                username=remote.username or None,
                password=remote.password or None,
                origin=False,
                foreign=self._tunnel is None,  # which judges it itself
                events=False,
                share=remote.group,
            )
            self._watch = asyncio.create_task(self._keep_looking(self._broker), name="remote broker")
        return self._broker

    async def close(self) -> None:
        """Use it no longer."""
        watch, self._watch, self._remote = self._watch, None, None
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        if self._tunnel is not None:
            await self._tunnel.close()
            self._tunnel = None
        self.running = False

    async def _keep_looking(self, broker: Broker) -> None:
        while True:
            error = await self._refusal(broker)
            if (self.running, self.error) != (not error, error):
                self.running, self.error = not error, error
                self._changed()
            await asyncio.sleep(CHECK_SECONDS)

    async def _refusal(self, broker: Broker) -> str:
        """Why the broker does not let us in; "" where it does."""
        probing = Session(broker, f"{broker.client_id}-check", lambda _: None, tuple, Memory())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await probing.end()
        except (OSError, TimeoutError, Refused, ValueError, IndexError) as error:
            tunnel = self._tunnel.error if self._tunnel else ""
            return tunnel or str(error) or type(error).__name__
        return ""
