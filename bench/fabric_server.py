"""The fabric's wire, operations and store without a kernel, for bench/fabric.py: DIRECTORY PORT KEY SECRET."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import msgspec
import uvicorn

from tieline.fabric.aws.server import UVICORN_OPTIONS, application
from tieline.fabric.daemon import accounts
from tieline.fabric.daemon.dispatch import dispatcher, key_lookup, now
from tieline.fabric.daemon.service import open_world
from tieline.fabric.ids import Ids
from tieline.store import SQLiteStore

REGION = "us-east-1"


def main() -> None:
    place, port, key, secret = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    world, ids = open_world(SQLiteStore(place / "fabric.db")), Ids(random.SystemRandom())
    made = accounts.create(world, "customer", REGION, ids)
    with world.transaction():
        world.put(msgspec.structs.replace(made, id=key, secret=secret))
    app = application(
        dispatcher(world, REGION, ids, now, lambda _: ""), key_lookup(world), clock=now, request_id=ids.uuid
    )
    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="asyncio", log_level="warning", lifespan="off", **UVICORN_OPTIONS
    )


if __name__ == "__main__":
    main()
