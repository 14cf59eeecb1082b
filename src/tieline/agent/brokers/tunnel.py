"""A loopback port that leads to a TLS server: the integration speaks plain MQTT, the way to the broker is encrypted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl

from tieline.integration.sinks.base.reach import open_connection

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 18
CONNECT_SECONDS = 10.0


class Tunnel:
    """Hands every connection on; `error` is why the last one could not be made."""

    def __init__(self, host: str, port: int, authority: str = "", server_name: str = "") -> None:
        self._host, self._port = host, port
        self._context = ssl.create_default_context(cadata=authority or None)
        self._name = server_name or host
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.error = ""

    async def start(self) -> int:
        """Listen on a free port, and tell it."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, limit=CHUNK)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Listen no more, and end what is connected."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        self._open.add(writer)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                far_reader, far = await open_connection(
                    self._host, self._port, self._context, name=self._name, limit=CHUNK
                )
            self.error = ""
            self._open.add(far)
            ways = [asyncio.create_task(_carry(*way)) for way in ((reader, far), (far_reader, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, TimeoutError) as error:
            self.error = f"{type(error).__name__}: {error}"
            log.warning("no way to %s:%s: %s", self._host, self._port, self.error)
        finally:
            for end in filter(None, (writer, far)):
                self._open.discard(end)
                end.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction; a slow reader slows the writer down."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
