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


def packets(count: int) -> list[bytes]:
    """Bursts of PUBLISH packets; packet ids repeat long after their acknowledgement."""
    bursts = []
    for start in range(0, count, BURST):
        burst = bytearray()
        for n in range(start, min(start + BURST, count)):
            payload = json.dumps({"id": f"dev{n % DEVICES}", "temp": 20 + n % 100 / 4, "ts": 1700000000000 + n})
            burst += mqtt5.PublishPacket(
                f"t/dev{n % DEVICES}", payload.encode(), qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=n % 60000 + 1
            ).write()
        bursts.append(bytes(burst))
    return bursts


async def main(port: int, count: int, rate: float) -> None:
    bursts = packets(count)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(mqtt5.ConnectPacket(client_id="publisher", clean_start=True).write())
    await reader.read(1000)
    print("ready", flush=True)
    sys.stdin.readline()
    sent = acknowledged = 0
    rest = b""
    began = time.perf_counter()
    while acknowledged < count:
        while bursts and sent - acknowledged < WINDOW:
            if rate:
                await asyncio.sleep(max(0.0, began + sent / rate - time.perf_counter()))
            writer.write(bursts.pop(0))
            sent = min(sent + BURST, count)
        data = rest + await reader.read(1 << 18)
        at = 0
        while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
            acknowledged += data[at] == 0x40
            at += 2 + data[at + 1]
        rest = data[at:]
    print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 0))
