"""The same work as a script that many write: paho-mqtt, a queue, and batches into psycopg; acknowledged on arrival.

python bench/integration_script.py PORT DSN [BATCH SECONDS]
"""

from __future__ import annotations

import json
import queue
import sys
import time
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

INSERT = b"insert into m(device, temp, ts, topic) values (%s, %s, %s, %s)"
Row = tuple[str, float, int, str]


def main(port: int, dsn: str, batch: int, seconds: float) -> None:
    waiting: queue.SimpleQueue[Row] = queue.SimpleQueue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="script", protocol=mqtt.MQTTv5)

    def take(_: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        found = json.loads(message.payload)
        if found["temp"] >= 20 and found["ts"] >= 0:
            waiting.put((found["id"], found["temp"], found["ts"], message.topic))

    client.on_message = take
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", port)
    client.subscribe("t/#", 1)
    client.loop_start()
    with psycopg.connect(dsn) as database:
        while True:
            rows, until = [waiting.get()], time.monotonic() + seconds
            while len(rows) < batch and (left := until - time.monotonic()) > 0:
                try:
                    rows.append(waiting.get(timeout=left))
                except queue.Empty:
                    break
            database.cursor().executemany(INSERT, rows)
            database.commit()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], *(int(sys.argv[3]), float(sys.argv[4])) if len(sys.argv) > 3 else (500, 0.2))
