"""A device that never gives up: publishes numbered messages at QoS 1 at a rate, and again what was not acknowledged.

python flood.py HOST PORT COUNT RATE, which prints a JSON object in the end: how many were published again.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import mqtt5

WINDOW = 20_000  # messages without an acknowledgement
SLICE = 0.01  # seconds between two portions


class Flood:
    """The numbers from 0 to `count`, each until the broker has it."""

    def __init__(self, host: str, port: int, count: int, rate: float) -> None:
        self.address, self.count, self.rate = (host, port), count, rate
        self.next = 0
        self.again = 0
        self.missing: dict[int, int] = {}  # packet id to number
        self._began = time.monotonic()

    async def run(self) -> None:
        while self.next < self.count or self.missing:
            try:
                await self._connected()
            except (
                OSError,
                TimeoutError,
                IndexError,
            ):  # IndexError: not the whole answer, as from who is not ready yet
                await asyncio.sleep(0.05)

    async def _connected(self) -> None:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(*self.address, limit=1 << 20), 2)
        try:
            writer.write(mqtt5.ConnectPacket(client_id="flood", clean_start=True).write())
            answer, _ = mqtt5.read(memoryview(await asyncio.wait_for(reader.read(1000), 2)))
            if not isinstance(answer, mqtt5.ConnAckPacket) or int(answer.reason_code):
                raise OSError(f"refused: {answer}")
            lost, self.missing = sorted(self.missing.values()), {}
            self.again += len(lost)
            for number in lost:
                writer.write(self._packet(number))
            sending = asyncio.create_task(self._send(writer))
            try:
                await self._hear(reader)
            finally:
                sending.cancel()
        finally:
            writer.close()

    def _packet(self, number: int) -> bytes:
        packet_id = number % 60_000 + 1
        self.missing[packet_id] = number
        payload = json.dumps({"n": number, "temp": 30}).encode()
        topic, qos = f"flood/{number % 50}", mqtt5.QoS.AT_LEAST_ONCE
        return mqtt5.PublishPacket(topic, payload, qos=qos, packet_id=packet_id).write()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while self.next < self.count:
            due = min(self.count, int((time.monotonic() - self._began) * self.rate), self.next + 500)
            due = min(due, self.next + WINDOW - len(self.missing))
            writer.write(b"".join([self._packet(number) for number in range(self.next, due)]))
            self.next = max(self.next, due)
            await asyncio.sleep(SLICE)

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        pending = b""
        while self.next < self.count or self.missing:
            chunk = await reader.read(1 << 16)
            if not chunk:
                raise OSError("the broker closed the connection")
            pending += chunk
            at = 0
            while at + 2 <= len(pending) and at + 2 + pending[at + 1] <= len(pending):
                if pending[at] == 0x40:  # PUBACK
                    self.missing.pop(int.from_bytes(pending[at + 2 : at + 4], "big"), None)
                at += 2 + pending[at + 1]
            pending = pending[at:]


def main(host: str, port: str, count: str, rate: str) -> None:
    flood = Flood(host, int(port), int(count), float(rate))
    asyncio.run(flood.run())
    sys.stdout.write(json.dumps({"again": flood.again}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
