"""What Redis's errors mean: at which hop, and whether the same command may be tried again."""

from __future__ import annotations

from typing import Final

from redis import exceptions

from tieline.integration.sinks.base.failures import Came, Hop, Rejected, Unavailable
from tieline.integration.sinks.base.network import described, hung_up, unreachable

#: By how an error's text begins (Redis 7.0, server.c, acl.c, cluster.c): the hop, and what helps.
_ANSWERS: Final[tuple[tuple[str, Hop, str], ...]] = (
    ("NOAUTH", "login", "give the resource a password"),
    ("WRONGPASS", "login", "check the user name and the password"),
    ("invalid username-password pair", "login", "check the user name and the password"),  # as redis-py shortens it
    ("Authentication required", "login", "give the resource a password"),
    ("ERR AUTH", "login", "the server has no password: leave it out"),
    ("AUTH <password> called", "login", "the server has no password: leave it out"),
    ("ERR max number of clients", "database", "raise maxclients, or lower pool_size"),
    ("max number of clients", "database", "raise maxclients, or lower pool_size"),
    ("ERR DB index", "database", "name a database that the server has"),
    ("DB index is out of range", "database", "name a database that the server has"),
    ("ERR SELECT is not allowed in cluster", "database", "a cluster has database 0 only"),
    ("LOADING", "database", "wait until the server has read its data"),
    ("MASTERDOWN", "database", "wait for the master"),
    ("READONLY", "database", "this is a replica: name the master, or the sentinels"),
    ("OOM", "database", "raise maxmemory, or let keys expire; writing goes on by itself"),
    ("MISCONF", "database", "the server cannot save to disk: see its log"),
    ("CLUSTERDOWN", "database", "some of the cluster's slots have no node"),
    ("NOREPLICAS", "database", "too few replicas are connected"),
    ("BUSY", "database", "a script runs too long"),
    ("TRYAGAIN", "database", "slots are moving; it is tried again"),
    ("MOVED", "database", "the server is one of a cluster: choose the type cluster"),
    ("NOPERM", "statement", "grant the user the command and the keys"),
    ("ERR unknown command", "statement", "correct the command template"),
    ("ERR wrong number of arguments", "statement", "correct the command template"),
    ("ERR Command not allowed inside a transaction", "statement", "choose another command"),
    ("CROSSSLOT", "statement", "put what the keys have in common into braces, as in {a}:1 and {a}:2"),
    ("EXECABORT", "statement", "correct the command template"),
)


def answered(text: str) -> Unavailable | None:
    """What an error answer of the server means, None where it is the command's own fault."""
    for start, hop, hint in _ANSWERS:
        if text.startswith(start):
            return Unavailable(hop, text, hint, text, came="answer" if hop == "statement" else "away")
    return None


def translated(error: BaseException, server: str, connecting: bool, encrypted: bool = False) -> Unavailable | Rejected:
    """Any error of redis-py or of the network in the pipeline's terms."""
    if isinstance(error, (Unavailable, Rejected)):
        return error
    if isinstance(error, exceptions.AuthenticationError):
        return answered(str(error)) or Unavailable(
            "login", str(error), "check user name and password", described(error)
        )
    if "Cluster mode is not enabled" in str(error):
        return Unavailable("database", "the server is none of a cluster", "choose the type single", described(error))
    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.RedisClusterException)):
        return answered(str(error)) or _of_way(_origin(error), server, encrypted and connecting, not connecting)
    if isinstance(error, exceptions.ResponseError):
        hop: Hop = "database" if connecting else "statement"
        came: Came = "away" if connecting else "answer"
        return answered(str(error)) or Unavailable(hop, str(error), "", str(error), came=came)
    if isinstance(error, UnicodeEncodeError):
        return Rejected(described(error))
    return unreachable(error, server, encrypted, sent=not connecting)


def _of_way(error: BaseException, server: str, agreeing: bool, sent: bool) -> Unavailable:
    if agreeing and isinstance(error, ConnectionResetError | BrokenPipeError | exceptions.ConnectionError):
        return hung_up(server, described(error))
    return unreachable(error, server, agreeing, sent)


def _origin(error: BaseException) -> BaseException:
    """The error of the system that the driver tells in its own words."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and not isinstance(inner, exceptions.RedisError):
            return inner
        inner = inner.__cause__ or inner.__context__
    return TimeoutError(str(error)) if isinstance(error, exceptions.TimeoutError) else error
