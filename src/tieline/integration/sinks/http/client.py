"""Requests over HTTP for the sinks that speak it: connections kept, redirects not followed, failures told by hop."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from tieline.integration.sinks.base import reach, tls
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Resource, driver
from tieline.integration.sinks.base.network import described, retry_after, unreachable

if TYPE_CHECKING:
    import aiohttp
    import aiohttp.abc
    import yarl
else:
    aiohttp, yarl = driver("aiohttp"), driver("yarl")

#: What Go's and nginx's servers answer to a request without TLS.
_WANTS_TLS: Final = re.compile("HTTP request (was sent )?to (an )?HTTPS")
SHOWN: Final = 500  # characters of an answer that an error quotes


class Reply(NamedTuple):
    """What a server answered; `retry_after`: the seconds for which it asks to be left alone."""

    status: int
    text: str
    retry_after: float


class HttpClient:
    """At most `pool_size` connections to where a resource's URL leads, made when they are needed."""

    def __init__(self, resource: Resource, url: str, pool_size: int, max_inactive: float = 10.0) -> None:
        self.url = literal(url).rstrip("/")
        self._resource = resource
        self._limit, self._idle = pool_size, max_inactive
        self._session: aiohttp.ClientSession | None = None

    @property
    def encrypted(self) -> bool:
        """Whether the URL says https."""
        return self.url.lower().startswith("https://")

    async def request(
        self, method: str, path: str = "", data: bytes = b"", headers: Mapping[str, str] | None = None, **more: Any
    ) -> tuple[int, str]:
        """The status and the text of an answer; raises Unavailable where there is none, ValueError for no request."""
        reply = await self.reply(method, path, data, headers, **more)
        return reply.status, reply.text

    async def reply(
        self, method: str, path: str = "", data: bytes = b"", headers: Mapping[str, str] | None = None, **more: Any
    ) -> Reply:
        """An answer; raises Unavailable where there is none, ValueError for no request."""
        session = self._opened()
        self._judge()
        try:
            timeout = aiohttp.ClientTimeout(
                total=self._resource.write_timeout, sock_connect=self._resource.connect_timeout
            )
            async with session.request(
                method,
                yarl.URL(self.url + path, encoded=True),  # as it is: what is escaped stays so
                data=data,
                headers=headers,
                allow_redirects=False,  # a redirect would lead past the addresses that a resource may name
                timeout=timeout,
                **more,
            ) as answer:
                status, text = answer.status, await answer.text(errors="replace")
                wait = retry_after(answer.headers.get("retry-after", ""))
        except aiohttp.InvalidURL as error:
            raise ValueError(f"{self.url}{path} is no URL") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._translated(error) from error
        if status == 400 and not self.encrypted and _WANTS_TLS.search(text):
            said = shown(status, text)
            raise Unavailable("tls", f"{self.url} takes only connections with TLS", "turn TLS on in the resource", said)
        return Reply(status, text, wait)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            if self._resource.ssl.enable and not self.encrypted:
                cause = "ssl.enable is true, and the URL begins with http://"
                raise Unavailable("tls", "TLS is enabled for a URL without it", "write https://", cause)
            settings = msgspec.structs.replace(self._resource.ssl, enable=self.encrypted)
            try:
                context = tls.context(settings)
            except ssl.SSLError as error:
                raise unreachable(error, self.url) from error
            connector = aiohttp.TCPConnector(
                limit=self._limit,
                ssl=context or False,
                keepalive_timeout=self._idle,
                use_dns_cache=False,
                resolver=_resolver(),
            )
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    def _judge(self) -> None:
        """Raises Unavailable for an address in the URL that may not be connected to: those are not resolved."""
        try:
            literal_address = reach.number(yarl.URL(self.url).host or "")
        except ValueError:
            return  # no URL: whoever asks is told by the client
        if literal_address is not None and (why := reach.refusal(literal_address)):
            said = f"{self.url} may not be connected to: {why}"
            raise Unavailable("address", said, "name another address, or ask the operator", f"{literal_address}: {why}")

    def _translated(self, error: BaseException) -> Unavailable:
        if isinstance(error, aiohttp.ServerDisconnectedError):
            cause = described(error)
            told = f"{self.url} closed the connection without an answer"
            return Unavailable("tcp", told, "it is tried again", cause, came="silence")
        inner: BaseException | None = error
        while inner is not None:
            if isinstance(inner, OSError) and not isinstance(inner, aiohttp.ClientError):
                return unreachable(inner, self.url, sent=not isinstance(error, aiohttp.ClientConnectorError))
            inner = getattr(inner, "certificate_error", None) or inner.__cause__ or inner.__context__
        if isinstance(error, aiohttp.ClientResponseError):
            hint = "check the port, and whether it takes http or https"
            told = f"{self.url} does not speak HTTP"
            return Unavailable("database", told, hint, described(error), came="answer")
        return unreachable(error, self.url, sent=True)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


def _resolver() -> Any:
    """What resolves names for the client: to addresses that may be connected to."""

    class Resolver(aiohttp.abc.AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> Any:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            return [
                {
                    "hostname": host,
                    "host": address,
                    "port": port,
                    "family": _family(address),
                    "proto": 0,
                    "flags": flags,
                }
                for address in reach.judged(host, found)
            ]

        async def close(self) -> None:
            return

    return Resolver()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def literal(text: str) -> str:
    """What somebody wrote as a part of a URL, with what no URL may hold escaped (RFC 3986, 2.2)."""
    return quote(text, safe="%:/?#[]@!$&'()*+,;=~")


def basic(username: str, password: str) -> dict[str, str]:
    """The header of Basic authentication (RFC 7617), none without a user name."""
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"authorization": f"Basic {pair}"} if username else {}


def shown(status: int, text: str) -> str:
    """An answer in one line, for an error."""
    said = " ".join(text.split())
    return f"HTTP {status}: {said[:SHOWN]}" if said else f"HTTP {status}"
