"""A passage's process: accepts on a loopback in one network namespace and connects on a loopback in another.

Payload goes from socket to pipe to socket by splice(2) and is never copied into this process. Started as a program by
its path, with nothing but the standard library; it leaves its caller once it listens, and gives up every privilege.
"""

from __future__ import annotations

import ctypes
import os
import resource
import selectors
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from errno import EINPROGRESS

libc = ctypes.CDLL(None, use_errno=True)

NEW_NET = 0x40000000  # sched.h
NO_NEW_PRIVS = 38  # linux/prctl.h
SPLICE_MOVE, SPLICE_NONBLOCK = 1, 2  # fcntl.h
SET_PIPE_SIZE = 1031  # fcntl.h
PIPE_BYTES = 256 * 1024  # four times the kernel's own size, so that bulk takes fewer calls
ROUNDS = 16  # pipes' worth that one stream may move before the others have their turn
BACKLOG = 1024
NOBODY = 65534
PAUSE = 0.05  # seconds before accepting again after the table of open files was full

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


Pipe = tuple[int, int]  # its reading end, its writing end


class Pipes:
    """Empty pipes to borrow: a connection that is idle holds none."""

    def __init__(self) -> None:
        self._free: list[Pipe] = []

    def take(self) -> Pipe:
        if self._free:
            return self._free.pop()
        out, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        libc.fcntl(into, SET_PIPE_SIZE, PIPE_BYTES)  # refused beyond the user's limit: slower, and no less right
        return out, into

    def give(self, pipe: Pipe) -> None:
        """Take back a pipe that is empty."""
        self._free.append(pipe)


class Stream:
    """One direction of a connection: what was read from `source` and waits in a pipe for `sink`."""

    def __init__(self, pipes: Pipes, source: socket.socket, sink: socket.socket) -> None:
        self.pipes, self.source, self.sink = pipes, source, sink
        self.pipe: Pipe | None = None  # none while nothing is held
        self.held = 0
        self.ended = False  # the source has sent its last byte
        self.closed = False  # and the sink was told so
        self.full = False  # the pipe takes no more until the sink takes some

    def move(self) -> None:
        """Move what can be moved now; raises OSError when either end has failed."""
        pipe = self.pipe or self.pipes.take()
        self.pipe = pipe
        for _ in range(ROUNDS):
            if not self._fill(pipe) | self._drain(pipe):
                break
        if not self.held:
            self.pipes.give(pipe)
            self.pipe = None
        if self.ended and not self.held and not self.closed:
            self.closed = True
            self.sink.shutdown(socket.SHUT_WR)

    def _fill(self, pipe: Pipe) -> bool:
        if self.ended or self.full:
            return False
        try:
            count = splice(self.source.fileno(), pipe[1])
        except BlockingIOError:
            self.full = self.held > 0  # source or pipe may be why: with bytes held, wait for the sink
            return False
        self.held += count
        self.ended = count == 0
        return count > 0

    def _drain(self, pipe: Pipe) -> bool:
        if not self.held:
            return False
        try:
            count = splice(pipe[0], self.sink.fileno())
        except BlockingIOError:
            return False
        self.held -= count
        self.full = False
        return True

    def close(self) -> None:
        for end in self.pipe or ():
            os.close(end)
        self.pipe = None


class Connection:
    """Two sockets and the streams between them, driven by readiness."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        pipes: Pipes,
        client: socket.socket,
        server: socket.socket,
        preface: bytes = b"",
    ) -> None:
        """`preface` goes to the server first: so little that an empty buffer takes it whole."""
        self.selector, self.client, self.server, self.preface = selector, client, server, preface
        self.streams = Stream(pipes, client, server), Stream(pipes, server, client)
        self.connecting = True
        self._masks: dict[socket.socket, int] = {}
        self._watch(server, WRITE)

    def ready(self, _mask: int) -> None:
        try:
            if self.connecting:
                self._connected()
            for stream in self.streams:
                stream.move()
        except OSError:
            return self.close(reset=True)
        if all(stream.closed for stream in self.streams):
            return self.close()
        return self._rewatch()

    def _connected(self) -> None:
        if error := self.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        if self.preface:
            self.server.send(self.preface)
        self.connecting = False

    def _rewatch(self) -> None:
        forth, back = self.streams
        for end, reading, writing in ((self.client, forth, back), (self.server, back, forth)):
            mask = 0 if reading.ended or reading.full else READ
            self._watch(end, mask | (WRITE if writing.held else 0))

    def _watch(self, end: socket.socket, mask: int) -> None:
        present = self._masks.get(end, 0)
        if mask == present:
            return
        if present and mask:
            self.selector.modify(end, mask, self.ready)
        elif mask:
            self.selector.register(end, mask, self.ready)
        else:
            self.selector.unregister(end)
        self._masks[end] = mask

    def close(self, reset: bool = False) -> None:
        """Close both ends; one that failed is reset on the other side too, so that nobody takes it for a proper end."""
        for end in (self.client, self.server):
            self._watch(end, 0)
            if reset:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            end.close()
        for stream in self.streams:
            stream.close()


class Forwarder:
    """The listener and everything that it has accepted."""

    def __init__(
        self, listener: socket.socket, address: tuple[str, int], selector: selectors.BaseSelector | None = None
    ) -> None:
        self.listener, self.address = listener, address
        self.pipes = Pipes()
        self.selector = selector or selectors.DefaultSelector()
        self.selector.register(listener, READ, self._accept)

    def run(self) -> None:
        run(self.selector)

    def _accept(self, _mask: int) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError:
            return time.sleep(PAUSE)
        try:
            self._connect(client)
        except OSError:
            client.close()

    def _connect(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            preface = self.prepare(client, server)
            if (number := server.connect_ex(self.address)) not in (0, EINPROGRESS):
                raise OSError(number, os.strerror(number))
        except OSError:
            server.close()
            raise
        Connection(self.selector, self.pipes, client, server, preface)

    def prepare(self, _client: socket.socket, _server: socket.socket) -> bytes:
        """What to say to the server before the client's first byte; raises OSError to refuse the client."""
        return b""


def run(selector: selectors.BaseSelector) -> None:
    """Act on whatever is ready, for ever."""
    while True:
        for key, mask in selector.select():
            if key.fileobj.fileno() >= 0:  # type: ignore[union-attr]  # else closed by what was ready before it
                act: Callable[[int], None] = key.data
                act(mask)


def splice(source: int, sink: int) -> int:
    """splice(2) without waiting: how many bytes were moved. Raises BlockingIOError or another OSError."""
    count: int = libc.splice(source, None, sink, None, PIPE_BYTES, SPLICE_MOVE | SPLICE_NONBLOCK)
    if count < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return count


def main(_owner: str, listen_in: str, connect_in: str, listen: str, connect: str) -> None:
    """Arguments: whose passage it is (for finding it again), two namespaces' files, two `address:port`."""
    handles = [os.open(namespace, os.O_RDONLY | os.O_CLOEXEC) for namespace in (listen_in, connect_in)]
    check(libc.setns(handles[0], NEW_NET), "enter the namespace to listen in")
    listener = socket.create_server(parse(listen), backlog=BACKLOG)
    listener.setblocking(False)
    check(libc.setns(handles[1], NEW_NET), "enter the namespace to connect in")  # all later sockets are made here
    for handle in handles:
        os.close(handle)
    leave_caller()
    Forwarder(listener, parse(connect)).run()


def leave_caller() -> None:
    """Go on alone, with as many open files as there may be and no privileges. The caller sees its child end well."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # two for each connection, and two for each pipe in use
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    give_up_privileges()
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)


def give_up_privileges() -> None:
    """Nothing but sockets in this namespace is needed from here on."""
    check(libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def parse(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address, int(port)


def check(status: int, action: str) -> None:
    """Raise OSError for a call that failed, with what it was for."""
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {action}: {os.strerror(number)}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as failure:
        sys.exit(str(failure))
