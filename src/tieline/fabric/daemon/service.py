"""The fabric's process: the store, the AWS wire, the reconciler and the prober on one event loop."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import socket
from collections.abc import Collection
from pathlib import Path

from tieline.base.http.hosts import Hosts
from tieline.base.http.server import Server
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.server import application, server
from tieline.fabric.core.figures import Book
from tieline.fabric.core.ids import Ids
from tieline.fabric.core.world import World
from tieline.fabric.daemon import accounts
from tieline.fabric.daemon.control import Control, listen
from tieline.fabric.daemon.dispatch import dispatcher, key_lookup, now
from tieline.fabric.daemon.meter import Meter
from tieline.fabric.daemon.prober import Prober
from tieline.fabric.daemon.reconciler import Reconciler
from tieline.fabric.kernel.driver import Kernel
from tieline.store import Change, SQLiteStore, Store, Unwritable

log = logging.getLogger(__name__)
STORE = "fabric.db"
CREDENTIALS = "credentials"


def open_world(store: Store) -> World:
    """The world as the store has it, writing back to the store."""

    def persist(writes: list[tuple[str, str, int, bytes | None]]) -> None:
        try:
            store.commit([Change(*write) for write in writes])
        except Unwritable as error:
            message = f"The records cannot be written ({error}): nothing was changed. Retry once they can be."
            raise AwsError("ServiceUnavailable", message, 503) from error

    world = World(persist)
    world.load((d.kind, d.id, d.version, d.body) for d in store.load())
    return world


async def serve(
    state: Path, prefix: str, port: int, region: str, switched_off: Collection[str] = (), hosts: Collection[str] = ()
) -> None:
    """Run the fabric on a loopback port until SIGTERM or SIGINT; what it made in the kernel stays."""
    store = SQLiteStore(state / STORE)
    (state / STORE).chmod(0o600)
    world, ids = open_world(store), Ids(random.SystemRandom())
    accounts.ensure_first(world, region, ids)
    accounts.write_credentials(world, region, state / CREDENTIALS)
    kernel = Kernel(prefix, state)
    book = Book()
    dispatch = dispatcher(world, region, ids, now, kernel.console_output, book, switched_off)
    app = application(dispatch, key_lookup(world), clock=now, request_id=ids.uuid)
    serving = server(app, hosts=Hosts([socket.gethostname(), *hosts]), host="127.0.0.1", port=port)
    control = await listen(state, Control(world, region, ids, now, state / CREDENTIALS))
    reconciler = Reconciler(world, kernel, region, now)
    meter = Meter(book, kernel, reconciler.topology, now)
    await _until_stopped(serving, [reconciler.run(), Prober(world, kernel, now).run(), meter.run()])
    control.close()
    store.close()


async def _until_stopped(server: Server, loops: list) -> None:  # type: ignore[type-arg]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(loop) for loop in loops]
    waiting = asyncio.create_task(stop.wait())
    serving = asyncio.create_task(_quiet(server))
    await asyncio.wait([*tasks, waiting, serving], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    for task in (*tasks, waiting):
        task.cancel()
    results = await asyncio.gather(*tasks, waiting, serving, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


async def _quiet(server: Server) -> None:
    """Serve without uvicorn's own signal handlers: this process has its own."""
    await server._serve()
