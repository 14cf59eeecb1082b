"""The least that a program can do by hand for the same rows: no rules, no retries, one table; the measure for ours.

python bench/integration_by_hand.py PORT DSN COUNT
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import asyncpg
import mqtt5
import orjson
import uvloop

BATCH = 1000
COLUMNS = ["device", "temp", "ts", "topic"]


async def main(port: int, dsn: str, count: int) -> None:
    database = await asyncpg.connect(dsn)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    writer.write(mqtt5.ConnectPacket(client_id="by-hand", clean_start=True, receive_max=65535).write())
    await reader.read(1000)
    writer.write(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("t/#", max_qos=mqtt5.QoS.AT_LEAST_ONCE)]).write())
    await reader.read(1000)
    print("ready", flush=True)
    batches: asyncio.Queue[tuple[list[tuple[Any, ...]], bytes]] = asyncio.Queue(16)

    async def commit() -> None:
        while True:
            rows, acknowledgements = await batches.get()
            await database.copy_records_to_table("m", records=rows, columns=COLUMNS)
            writer.write(acknowledgements)
            batches.task_done()

    committing = asyncio.create_task(commit())
    pending, rows, acknowledgements, seen = b"", [], bytearray(), 0
    while seen < count:
        pending += await reader.read(1 << 18)
        view, at = memoryview(pending), 0
        while at < len(pending):
            try:
                packet, size = mqtt5.read(view[at:])
            except IndexError:
                break
            at += size
            if isinstance(packet, mqtt5.PublishPacket) and packet.packet_id is not None:
                message = orjson.loads(packet.payload)
                rows.append((message["id"], message["temp"], message["ts"], packet.topic))
                acknowledgements += b"\x40\x02" + packet.packet_id.to_bytes(2, "big")
                seen += 1
                if len(rows) == BATCH or seen == count:
                    await batches.put((rows, bytes(acknowledgements)))
                    rows, acknowledgements = [], bytearray()
        pending = pending[at:]
    await batches.join()
    committing.cancel()
    await asyncio.sleep(3600)  # until it is stopped, as ours


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
