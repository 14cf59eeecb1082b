"""Publishes COUNT messages at QoS 1 as fast as the broker acknowledges them, with packets made beforehand.

python bench/integration_publisher.py PORT COUNT [RATE]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import mqtt5
import uvloop

WINDOW = 2000  # messages without an acknowledgement
BURST = 200  # messages in one write
DEVICES = 100


def packet(number: int, stamp: int) -> bytes:
    """One PUBLISH; packet ids repeat long after their acknowledgement."""
    payload = json.dumps({"id": f"dev{number % DEVICES}", "temp": 20 + number % 100 / 4, "ts": stamp})
    topic, qos = f"t/dev{number % DEVICES}", mqtt5.QoS.AT_LEAST_ONCE
    return mqtt5.PublishPacket(topic, payload.encode(), qos=qos, packet_id=number % 60000 + 1).write()


def bursts(count: int) -> list[bytes]:
    """The packets for so many messages, made beforehand; the stamp is the message's number."""
    numbers = range(0, count, BURST)
    return [b"".join(packet(n, n) for n in range(start, min(start + BURST, count))) for start in numbers]


def acknowledged(data: bytes) -> tuple[int, bytes]:
    """The number of PUBACKs in these bytes, and what is left of them."""
    at = found = 0
    while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
        found += data[at] == 0x40
        at += 2 + data[at + 1]
    return found, data[at:]


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ready: list[bytes], count: int) -> None:
    """As fast as the broker acknowledges."""
    sent, done, rest = 0, 0, b""
    waiting = iter(ready)
    while done < count:
        while sent < count and sent - done < WINDOW:
            writer.write(next(waiting))
            sent = min(sent + BURST, count)
        found, rest = acknowledged(rest + await reader.read(1 << 18))
        done += found


async def steady(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int, rate: float) -> None:
    """At a rate; the stamp is the time of publishing in microseconds."""
    began, done, rest = time.perf_counter(), 0, b""

    async def send() -> None:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            writer.write(packet(number, time.time_ns() // 1000))

    sending = asyncio.create_task(send())
    while done < count:
        found, rest = acknowledged(rest + await reader.read(1 << 16))
        done += found
    await sending


async def main(port: int, count: int, rate: float) -> None:
    ready = [] if rate else bursts(count)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(mqtt5.ConnectPacket(client_id="publisher", clean_start=True).write())
    await reader.read(1000)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    await (steady(reader, writer, count, rate) if rate else flood(reader, writer, ready, count))
    print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 0))
