"""What Redis's answers tell: whether the server and its user could run a command, and which commands it refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.outcome import worst
from tieline.integration.sinks.redis.errors import answered

#: Commands that write to the key, or the channel, that is their first word, and to no other (Redis 7.0, COMMAND INFO).
_OF_ONE_KEY: Final = frozenset(
    [
        "APPEND",
        "DECR",
        "DECRBY",
        "EXPIRE",
        "EXPIREAT",
        "GEOADD",
        "GETSET",
        "HDEL",
        "HINCRBY",
        "HINCRBYFLOAT",
        "HMSET",
        "HSET",
        "HSETNX",
        "INCR",
        "INCRBY",
        "INCRBYFLOAT",
        "LPUSH",
        "LPUSHX",
        "LSET",
        "LTRIM",
        "PEXPIRE",
        "PFADD",
        "PSETEX",
        "PUBLISH",
        "RPUSH",
        "RPUSHX",
        "SADD",
        "SET",
        "SETBIT",
        "SETEX",
        "SETNX",
        "SETRANGE",
        "SPUBLISH",
        "SREM",
        "XADD",
        "ZADD",
        "ZINCRBY",
        "ZREM",
    ]
)


def suits(role: Any, cluster: Any) -> None:
    """Raises Unavailable for a server that takes no writes, or only some; what it may not tell is not judged."""
    if isinstance(role, list) and role[0] in (b"slave", b"replica"):
        message, hint = "the server is a replica, which takes no writes", "name the master, or the sentinels"
        raise Unavailable("database", message, hint, f"ROLE says {role[0].decode()}")
    if isinstance(role, Exception) and (trouble := answered(str(role))) is not None and trouble.hop == "login":
        raise trouble
    if isinstance(cluster, bytes) and b"cluster_state" in cluster:
        message = "the server is one of a cluster"
        raise Unavailable("database", message, "choose the type cluster", "CLUSTER INFO tells a state")


def judge(words: Sequence[str], info: Any, allowed: Any) -> None:
    """What the server says of a command, where it says anything; raises Unavailable.

    Whether the keys are allowed is not judged: the values that will be in them are not known.
    """
    if isinstance(info, list) and (not info or not info[0]):
        told = f"the server has no command {words[0]}"
        raise Unavailable("statement", told, "correct the command template", told)
    if isinstance(info, list) and isinstance(info[0], list):
        wanted = int(info[0][1])
        if len(words) < abs(wanted) or (wanted > 0 and len(words) != wanted):
            told = (
                f"{words[0]} takes {'at least ' * (wanted < 0)}{abs(wanted) - 1} words after it, not {len(words) - 1}"
            )
            raise Unavailable("statement", told, "correct the command template", told)
    if isinstance(allowed, bytes) and b"permissions to run" in allowed:
        raise Unavailable("statement", allowed.decode(), "grant the user the command", allowed.decode())


def takes(words: Sequence[str], queued: Any) -> None:
    """What the server says of a command in a transaction that is then discarded: all that it looks at before it runs
    one, such as whether it is a replica, out of memory, or cannot save; raises Unavailable.

    Whether the key is allowed is judged where the template says which it is.
    """
    text = str(queued) if isinstance(queued, Exception) else ""
    if text.startswith("NOPERM") and ("key" in text or "channel" in text):
        if words[0].upper() in _OF_ONE_KEY and len(words) > 1 and "${" not in words[1]:
            raise Unavailable("statement", f"{text}: {words[1]}", f"grant the user the key {words[1]}", text)
    elif text:
        raise answered(text) or Unavailable("statement", text, "correct the command template", text)


def whole(state: Any) -> None:
    """Raises Unavailable for a cluster some of whose slots nobody serves."""
    if isinstance(state, dict) and state.get("cluster_state", "ok") != "ok":
        hint = "look at the cluster's nodes: it writes when all slots are served"
        said = f"cluster_state is {state['cluster_state']}"
        raise Unavailable("database", "the cluster does not take writes now", hint, said)


def refusals(answers: Sequence[Any]) -> dict[int, str]:
    """The commands' own faults; raises Unavailable where the server did not run one for another reason."""
    failed = {place: str(answer) for place, answer in enumerate(answers) if isinstance(answer, Exception)}
    troubles = {place: trouble for place, text in failed.items() if (trouble := answered(text)) is not None}
    own = {place: text for place, text in failed.items() if place not in troubles}
    written = [place for place in range(len(answers)) if place not in failed]
    if troubles:
        raise worst(troubles, written) if not own else Rejected(next(iter(own.values())), own, written)
    return failed
