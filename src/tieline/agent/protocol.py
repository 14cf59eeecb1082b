"""What platform and agent say to each other over one WebSocket: typed messages, JSON, one per frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from tieline.agent.brokers.settings import Remote, Settings
from tieline.integration.config.shapes import Action, Config, Resource
from tieline.integration.worker.messages import Answer, Asked

AGENT_HEADER = "Tieline-Agent"  # tells an agent of a deployment from its others
AGENT_PATH = "/api/v1/agent"
MAX_FRAME = 16 * 1024 * 1024  # bytes; a configuration of thousands of rules fits
GONE = 4410  # close code: the deployment was deleted, the agent ends
REPLACED = 4409  # close code: another agent joined with the same token


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=str.lower, forbid_unknown_fields=False):
    """Base of every message; unknown fields of its own are ignored, so that either side may be newer."""


class LeftOut(msgspec.Struct, frozen=True):
    """What an agent that is older than its platform does not run as it should: by id why, and the names of fields."""

    rules: dict[str, str] = {}
    resources: dict[str, str] = {}
    fields: tuple[str, ...] = ()


class Configure(Frame, frozen=True, kw_only=True, omit_defaults=True):
    """Platform to agent: run this from now on, in so many processes, on the agent's own broker or on somebody else's;

    without either, nothing runs. What is `left_out` the agent itself writes down.
    """

    config: Config
    broker: Settings | Remote | None
    workers: int = 1
    left_out: LeftOut = LeftOut()


class Probe(Frame, frozen=True, kw_only=True):
    """Platform to agent: try this resource with these actions, and answer within `timeout` seconds."""

    id: str
    resource: Resource
    actions: tuple[Action, ...] = ()
    timeout: float


class Probed(Frame, frozen=True, kw_only=True):
    """Agent to platform: how the probe of this id ended; `hop` is "" where it passed."""

    id: str
    hop: str = ""
    message: str = ""
    hint: str = ""
    cause: str = ""


class Dial(Frame, frozen=True, kw_only=True):
    """Platform to agent: resolve this name and connect to each of these ports, within `timeout` seconds each."""

    id: str
    host: str
    ports: tuple[int, ...] = ()
    timeout: float


class Request(Frame, frozen=True, kw_only=True):
    """Platform to agent: something about the integration's letters and counters."""

    id: str
    asked: Asked


class Answered(Frame, frozen=True, kw_only=True):
    """Agent to platform: the answer to the request of this id; `error` where it failed."""

    id: str
    answer: Answer = Answer(id=0)
    error: str = ""


class Door(msgspec.Struct, frozen=True):
    """One port that was tried: `cause` is "" where it accepted a connection, after `seconds`."""

    port: int
    cause: str = ""
    seconds: float = 0.0


class Dialled(Frame, frozen=True, kw_only=True):
    """Agent to platform: the addresses that the name has where the agent is, or why it has none, and each port."""

    id: str
    addresses: tuple[str, ...] = ()
    cause: str = ""
    doors: tuple[Door, ...] = ()


class Condition(msgspec.Struct, frozen=True):
    """How a resource or a rule is, in the integration's words."""

    status: str = "unknown"
    reason: str = ""
    hop: str = ""
    hint: str = ""
    cause: str = ""


class Status(msgspec.Struct, frozen=True):
    """How each resource and each rule is, by id."""

    resources: dict[str, Condition] = {}
    rules: dict[str, Condition] = {}


class Metrics(msgspec.Struct, frozen=True):
    """What was counted: by rule id, and by rule id and action id."""

    rules: dict[str, dict[str, float | str]] = {}
    actions: dict[str, dict[str, dict[str, float | str]]] = {}
    dead_letters: dict[str, int] = {}


class Carried(msgspec.Struct, frozen=True, array_like=True):
    """What connections to a server carry: how many are open, and bytes there and back since the agent started."""

    flows: int = 0
    sent: int = 0
    received: int = 0


class Report(Frame, frozen=True, kw_only=True):
    """Agent to platform: how it stands. `applied` is the version of the configuration that runs, the broker's

    subscriptions confirmed; -1 none.
    """

    applied: int
    broker: bool
    stopped: bool = False  # as it was told to be
    without_origin: str = ""  # why rules cannot see who published a message; "" where they can
    error: str = ""
    metrics: Metrics = Metrics()
    status: Status = Status()
    traffic: dict[str, Carried] = {}  # by the server of resources, host:port


ToAgent = Configure | Probe | Dial | Request
ToPlatform = Probed | Dialled | Answered | Report

_to_agent = msgspec.json.Decoder(ToAgent)
_to_platform = msgspec.json.Decoder(ToPlatform)


def encode(message: ToAgent | ToPlatform) -> bytes:
    """The frame of a message."""
    return msgspec.json.encode(message)


@contextmanager
def one_error() -> Iterator[None]:
    """Raise msgspec.DecodeError for all that a frame may be besides a message: no text, too deep."""
    try:
        yield
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(f"no message: {error}") from error


def decode_for_agent(frame: bytes | str) -> ToAgent:
    """A message of the platform; raises msgspec.DecodeError for anything else."""
    with one_error():
        message: ToAgent = _to_agent.decode(frame)
        return message


def decode_for_platform(frame: bytes | str) -> ToPlatform:
    """A message of an agent; raises msgspec.DecodeError for anything else."""
    with one_error():
        message: ToPlatform = _to_platform.decode(frame)
        return message
