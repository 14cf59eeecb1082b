"""Managing accounts, over a socket in the state directory that only its owner can open (docs/decisions/0008)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.core.ids import Ids
from tieline.fabric.core.records import AccessKey, Account
from tieline.fabric.core.world import World
from tieline.fabric.daemon import accounts
from tieline.fabric.daemon.accounts import Refused
from tieline.fabric.kernel.privileges import PLATFORM_GROUP

SOCKET = "control"
SECONDS = 10.0  # for a request to arrive, and for its answer
PEER = struct.Struct("3i")  # struct ucred: process, user, group (unix(7))
A = TypeVar("A")


class View(msgspec.Struct, frozen=True):
    """An account as its operator sees it."""

    id: str
    name: str
    role: str
    trusted: tuple[str, ...]
    keys: tuple[str, ...]
    owns: int


class Listing(msgspec.Struct, frozen=True, tag="list"):
    """All accounts."""


class Create(msgspec.Struct, frozen=True, tag="create"):
    """`test_key`: with a key and a secret that everybody knows."""

    name: str
    test_key: bool = False


class Rotate(msgspec.Struct, frozen=True, tag="rotate"):
    """`grace`: seconds that the present keys still work."""

    account: str
    grace: int


class Trust(msgspec.Struct, frozen=True, tag="trust"):
    account: str
    principal: str
    withdraw: bool = False


class Delete(msgspec.Struct, frozen=True, tag="delete"):
    """`cascade`: with all that it owns, at once and for good."""

    account: str
    cascade: bool = False


Command = Listing | Create | Rotate | Trust | Delete


class Outcome(msgspec.Struct, frozen=True):
    """What a command did: the accounts that it concerns; or, with a code, why it did nothing."""

    accounts: tuple[View, ...] = ()
    code: str = ""
    message: str = ""
    hint: str = ""


NOT_FOR_THE_PLATFORM = Outcome(
    code="FORBIDDEN", message="the platform may not manage accounts", hint="use the tieline command, as the operator"
)


class Control:
    """The commands, on a running fabric."""

    def __init__(self, world: World, region: str, ids: Ids, clock: Callable[[], datetime], credentials: Path) -> None:
        self._world, self._region, self._ids, self._clock = world, region, ids, clock
        self._credentials = credentials

    def perform(self, command: Command) -> Outcome:
        """Do what is asked and bring the credentials file up to date; a refusal is an outcome, too."""
        try:
            concerned = self._perform(command)
        except Refused as refusal:
            return Outcome(code=refusal.code, message=refusal.message, hint=refusal.hint)
        except AwsError as error:  # the store's own refusal: nothing was changed
            return Outcome(code=error.code, message=error.message, hint="see to the disk of the state directory")
        try:
            if not isinstance(command, Listing):
                accounts.write_credentials(self._world, self._region, self._credentials)
        except OSError as error:
            message = f"it is done, and the file of credentials could not be written: {error.strerror}"
            return Outcome(code="NOT_WRITTEN", message=message, hint="the next account command writes it, or a restart")
        return Outcome(tuple(concerned))

    def _perform(self, command: Command) -> list[View]:
        world = self._world
        match command:
            case Create():
                key = accounts.create(world, command.name, self._region, self._ids, test_key=command.test_key)
                return [self._view(accounts.find(world, key.owner))]
            case Rotate():
                account = accounts.find(world, command.account)
                grace = timedelta(seconds=max(0, command.grace))
                accounts.rotate(world, account, grace, self._ids, self._clock())
            case Trust():
                account = accounts.find(world, command.account)
                account = accounts.trust(world, account, command.principal, withdraw=command.withdraw)
            case Delete():
                account = accounts.find(world, command.account)
                view = self._view(account)
                if command.cascade and view.owns:
                    accounts.close(world, account, self._clock())
                else:
                    accounts.delete(world, account)
                return [view]
            case Listing():
                return [self._view(account) for account in world.all(Account)]
        return [self._view(account)]

    def _view(self, account: Account) -> View:
        keys = self._world.where(AccessKey, "owner", account.id)
        return View(
            id=account.id,
            name=account.name,
            role=f"arn:aws:iam::{account.id}:role/tieline-admin",
            trusted=account.trusted,
            keys=tuple(key.id for key in keys if key.token is None),
            owns=sum(1 for _ in accounts.belongings(self._world, account)),
        )


async def listen(state: Path, control: Control) -> asyncio.Server:
    """Serve the commands on the state directory's socket."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(SECONDS):
                asked = await reader.read()
                told = NOT_FOR_THE_PLATFORM if _is_platform(writer) else answer(control, asked)
                writer.write(msgspec.json.encode(told))
                await writer.drain()
        writer.close()

    with _short(state) as path:
        before = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(serve, path)
        finally:
            os.umask(before)


def _is_platform(writer: asyncio.StreamWriter) -> bool:
    """Whether the peer connected as the platform, or as something that it started: no capability changes its group."""
    peer: socket.socket = writer.get_extra_info("socket")
    _, _, group = PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    return bool(group == PLATFORM_GROUP)


def answer(control: Control, request: bytes) -> Outcome:
    """The outcome of a command in JSON."""
    try:
        return control.perform(msgspec.json.decode(request, type=Command))
    except msgspec.DecodeError as error:
        return Outcome(code="INVALID", message=f"the command is not understood: {error}")


def ask(state: Path, command: Command) -> Outcome:
    """Have the fabric that runs on a state directory perform a command; raises OSError where none runs."""
    with _short(state) as path, socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
        connection.sendall(msgspec.json.encode(command))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as whole:
            return msgspec.json.decode(whole.read(), type=Outcome)


@contextmanager
def _short(state: Path) -> Iterator[str]:
    """The socket's path by way of the directory's descriptor: a socket's own path has 107 characters at most."""
    directory = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET}"
    finally:
        os.close(directory)
