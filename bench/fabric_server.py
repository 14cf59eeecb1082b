"""The fabric's wire, operations and store without a kernel, for bench/fabric.py: DIRECTORY PORT KEY SECRET.

What is asked for counts as built a moment later, so that endpoints are available, as in a fabric that has caught up.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import msgspec

from tieline.fabric.aws.service.server import application, server
from tieline.fabric.core.ids import Ids
from tieline.fabric.core.world import World
from tieline.fabric.daemon import accounts, lifecycle
from tieline.fabric.daemon.dispatch import dispatcher, key_lookup, now
from tieline.fabric.daemon.lifecycle import Key
from tieline.fabric.daemon.service import open_world
from tieline.store import SQLiteStore

REGION = "us-east-1"
MOMENT = 0.2  # seconds


class Built:
    """A kernel that has built everything."""

    def built(self, _: Key) -> bool:
        return True

    def gone(self, _: Key) -> bool:
        return True

    def trouble(self, _: Key) -> str:
        return ""


async def follow(world: World) -> None:
    """Move records on after every burst of changes."""
    changed = asyncio.Event()
    world.subscribe(changed.set)
    while True:
        await changed.wait()
        await asyncio.sleep(MOMENT)
        changed.clear()
        with world.transaction():
            lifecycle.advance(world, Built(), now())


async def serve(world: World, ids: Ids, port: int) -> None:
    app = application(
        dispatcher(world, REGION, ids, now, lambda _: ""), key_lookup(world), clock=now, request_id=ids.uuid
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow(world))
        tasks.create_task(server(app, host="127.0.0.1", port=port).serve())


def main() -> None:
    place, port, key, secret = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    world, ids = open_world(SQLiteStore(place / "fabric.db")), Ids(random.SystemRandom())
    made = accounts.create(world, "customer", REGION, ids)
    with world.transaction():
        world.put(msgspec.structs.replace(made, id=key, secret=secret))
    asyncio.run(serve(world, ids, port))


if __name__ == "__main__":
    main()
