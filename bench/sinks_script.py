"""The same work as a plain script: paho-mqtt, a queue, and batches into PyMySQL or redis-py.

python bench/sinks_script.py mysql|redis BROKER_PORT DATABASE_PORT
"""

from __future__ import annotations

import json
import queue
import sys
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
import pymysql
import redis
from paho.mqtt.enums import CallbackAPIVersion

BATCH = 1000
Row = tuple[int, str, float, str]
INSERT = "insert into m(ts, device, temp, topic) values (%s, %s, %s, %s)"


def to_mysql(port: int) -> Callable[[list[Row]], object]:
    """Batches into a table."""
    database = pymysql.connect(host="127.0.0.1", port=port, user="app", password="app-secret", database="app")
    cursor = database.cursor()

    def write(rows: list[Row]) -> None:
        cursor.executemany(INSERT, rows)  # PyMySQL makes one INSERT of them
        database.commit()

    return write


def to_redis(port: int) -> Callable[[list[Row]], object]:
    """Batches into hashes."""
    client = redis.Redis("127.0.0.1", port, username="app", password="app-secret")

    def write(rows: list[Row]) -> None:
        pipeline = client.pipeline()
        for ts, device, temp, topic in rows:
            pipeline.hset(f"m:{ts}", mapping={"device": device, "temp": temp, "topic": topic})
        pipeline.execute()

    return write


def main(kind: str, broker: int, database: int) -> None:
    waiting: queue.SimpleQueue[Row] = queue.SimpleQueue()
    write = to_mysql(database) if kind == "mysql" else to_redis(database)

    def received(_client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        payload = json.loads(message.payload)
        if payload["temp"] >= 20 and payload["ts"] >= 0:
            waiting.put((payload["ts"], payload["id"], payload["temp"], message.topic))

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="script")
    client.on_message = received
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", broker)
    client.subscribe("t/#", qos=1)
    client.loop_start()
    while True:
        rows = [waiting.get()]
        while len(rows) < BATCH and not waiting.empty():
            rows.append(waiting.get())
        write(rows)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
