"""InfluxDB by the API of version 1: each output a point in line protocol, each batch one request.

A point is replaced by one of the same measurement, tags and time. So a batch that is written twice is there once, and a
template without a time gets one of our own in nanoseconds, which no two points of a batch share.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from tieline.integration.rules.compile.template import Path
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import Action, Kind, Resource, Secret, label
from tieline.integration.sinks.base.network import address
from tieline.integration.sinks.http.client import HttpClient, basic, shown
from tieline.integration.sinks.influxdb.lines import Lines, lines

TIMES: Final = 20_000  # rows whose time is remembered: more than are on their way at once


class InfluxDB(Resource, frozen=True, kw_only=True, tag="influxdb"):
    """An InfluxDB that speaks the API of version 1."""

    PORT: ClassVar[int] = 8086

    server: str = "127.0.0.1:8086"
    database: str
    username: str = ""
    password: Secret = ""
    pool_size: Annotated[int, label("Connection pool size")] = 8


class InfluxPoint(Action, frozen=True, kw_only=True, tag="influxdb"):
    """Writes each output of the rule as a point."""

    write_syntax: Annotated[str, label("Write syntax (line protocol)", kind="lines")]
    precision: Literal["ns", "us", "ms", "s"] = "ms"

    def paths(self) -> tuple[Path, ...]:
        return lines(self.write_syntax).paths


class InfluxSink:
    """The server and its connections."""

    def __init__(self, resource: InfluxDB) -> None:
        self.resource = resource
        scheme = "https" if resource.ssl.enable else "http"
        try:
            host, port = address(resource.server, resource.PORT)
        except ValueError:
            host, port = resource.server, resource.PORT  # Test says what is wrong with it
        host = f"[{host}]" if ":" in host else host
        self.client = HttpClient(resource, f"{scheme}://{host}:{port}", resource.pool_size)

    def writer(self, action: Action) -> InfluxWriter:
        if not isinstance(action, InfluxPoint):
            raise TemplateError(f"{type(action).__name__} cannot write to InfluxDB")
        return InfluxWriter(self, action)

    async def check(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self.writer(action)
        await self.post(b"", "ms")  # no point: the server looks at the login, the database and the right to write

    async def post(self, body: bytes, precision: str) -> None:
        """Write points; raises Unavailable or Rejected."""
        resource = self.resource
        headers = basic(resource.username, resource.password)
        asked = {"db": resource.database, "precision": {"ns": "n", "us": "u"}.get(precision, precision)}
        try:
            status, text = await self.client.request("post", "/write", body, headers, params=asked)
        except ValueError as error:
            raise Unavailable("address", str(error), "write host:port", str(error)) from error
        if status >= 300:
            raise _judged(status, text)

    async def close(self) -> None:
        await self.client.close()


def _judged(status: int, text: str) -> Unavailable | Rejected:
    """What an answer other than 2xx means (InfluxDB 1.8, /write)."""
    said = shown(status, text)
    if status == 401:
        return Unavailable(
            "login", "the server does not let this user in", "check user name and password", said, came="answer"
        )
    if status == 403:
        return Unavailable(
            "database", "the user may not write to the database", "grant the user WRITE on it", said, came="answer"
        )
    if status == 404:
        return Unavailable("database", said, "create the database, or correct its name", said, came="answer")
    if status in (400, 413):
        return Rejected(said)  # what of it is in may be written again: points are replaced
    return Unavailable("database", said, "it is tried again", said, came="answer")


class Times:
    """A time for each row whose template says none: another one for each, and the same whenever a row is tried again.

    Of a request that is refused in part InfluxDB keeps the other points: written again with other times, they would be
    there twice.
    """

    def __init__(self) -> None:
        self._last = 0
        self._given: dict[int, tuple[dict[str, Any], int]] = {}  # of rows that are not in, by identity

    def of(self, output: dict[str, Any]) -> int:
        """The row's time in nanoseconds."""
        known = self._given.get(id(output))
        if known is not None and known[0] is output:
            return known[1]
        self._last = max(self._last + 1, time.time_ns())
        while len(self._given) >= TIMES:  # rows that were refused are never told of
            del self._given[next(iter(self._given))]
        self._given[id(output)] = output, self._last
        return self._last

    def forget(self, outputs: Sequence[dict[str, Any]]) -> None:
        """These rows are in."""
        for output in outputs:
            self._given.pop(id(output), None)


class InfluxWriter:
    """One action's points."""

    def __init__(self, sink: InfluxSink, action: InfluxPoint) -> None:
        self.sink = sink
        self.lines: Lines = lines(action.write_syntax)
        self.precision = action.precision if self.lines.timed else "ns"
        self._times = Times()

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Write a point for each output; those that are none are named."""
        found, wrong = [], {}
        for place, output in enumerate(outputs):
            try:
                line = self.lines.render(output)
                found.append(line if self.lines.timed else f"{line} {self._times.of(output)}")
            except ValueError as error:
                wrong[place] = str(error)
        if wrong:
            raise Rejected(next(iter(wrong.values())), wrong)
        await self.sink.post("\n".join(found).encode(), self.precision)
        self._times.forget(outputs)


KIND: Final = Kind(
    label="InfluxDB (API of version 1)",
    resource=InfluxDB,
    actions=(InfluxPoint,),
    open=InfluxSink,
    test="writes no points to the database, for which the server judges the login, the database and the right to write",
    tried="InfluxDB 1.6",
)
