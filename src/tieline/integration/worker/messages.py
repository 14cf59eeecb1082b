"""What a pipeline's processes say to each other: one JSON value a line, requests down, states and answers up."""

from __future__ import annotations

from typing import Any

import msgspec

from tieline.integration.config.shapes import Broker, Config
from tieline.integration.delivery.dead_letters import DeadLetter


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """Base of what a worker is asked; the answer has the same `id`."""

    id: int


class Start(Request, frozen=True, kw_only=True, tag="start"):
    """The first request: whom to be, and where to keep things."""

    broker: Broker
    directory: str | None


class Apply(Request, frozen=True, kw_only=True, tag="apply"):
    """Run this configuration; answered when the broker has confirmed the subscriptions."""

    config: Config


class Inherit(Request, frozen=True, kw_only=True, tag="inherit"):
    """Take over what processes that are not needed any more left in these directories."""

    directories: tuple[str, ...]


class Ready(Request, frozen=True, kw_only=True, tag="ready"):
    """Answered when the broker has confirmed the subscriptions."""


class Note(Request, frozen=True, kw_only=True, tag="note"):
    """Note the ids of the messages that come, until somebody asks which came."""


class Deafen(Request, frozen=True, kw_only=True, tag="deafen"):
    """Subscribe to nothing more; answered when what was sent until then has come."""


class Heard(Request, frozen=True, kw_only=True, tag="heard"):
    """Say which of these messages came, by the name of the place."""

    ids: dict[str, tuple[str, ...]]


class Letters(Request, frozen=True, kw_only=True, tag="letters"):
    """Dead letters of a rule, or of all, the oldest first: those after a time and id, at most so many, and no more than
    an answer takes. `bare`: without their messages and outputs.
    """

    rule: str = ""
    after: tuple[int, str] = (0, "")
    limit: int = 100
    bare: bool = False


class Edit(Request, frozen=True, kw_only=True, tag="edit"):
    """Change fields of the message that a letter holds, before it is replayed."""

    letter: str
    message: dict[str, Any]


class Replay(Request, frozen=True, kw_only=True, tag="replay"):
    """Try these letters again."""

    ids: tuple[str, ...]


class Discard(Request, frozen=True, kw_only=True, tag="discard"):
    """Forget these letters."""

    ids: tuple[str, ...]


class Past(Request, frozen=True, kw_only=True, tag="past"):
    """How it went with a rule and its actions, as long as that is kept."""

    rule: str


class Reset(Request, frozen=True, kw_only=True, tag="reset"):
    """Count a rule from zero."""

    rule: str


class Close(Request, frozen=True, kw_only=True, tag="close"):
    """End; with `forget` the sessions at the broker end too, once nothing waits in them."""

    grace: float
    forget: bool = False


#: What is asked of a pipeline that runs, wherever it runs.
Asked = Letters | Edit | Replay | Discard | Past | Reset
ToWorker = Start | Apply | Inherit | Ready | Note | Deafen | Heard | Close | Asked


class State(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="state"):
    """How a worker is, sent regularly."""

    metrics: dict[str, Any]
    status: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="answer"):
    """The answer to a request; `error` where it failed."""

    id: int
    letters: tuple[DeadLetter, ...] = ()
    more: bool = False  # letters that were asked for are left, as the answer would be too large
    replayed: dict[str, str] = {}
    past: dict[str, list[tuple[float, ...]]] = {}  # the rule under "", its actions by id
    heard: dict[str, tuple[str, ...]] = {}
    error: str = ""


FromWorker = State | Answer

_to_worker = msgspec.json.Decoder(ToWorker)
_from_worker = msgspec.json.Decoder(FromWorker)


def encode(message: ToWorker | FromWorker) -> bytes:
    """One line."""
    return msgspec.json.encode(message) + b"\n"


def decode_request(line: bytes) -> ToWorker:
    """A line for a worker; raises msgspec.DecodeError."""
    request: ToWorker = _to_worker.decode(line)
    return request


def decode_answer(line: bytes) -> FromWorker:
    """A line of a worker; raises msgspec.DecodeError."""
    answer: FromWorker = _from_worker.decode(line)
    return answer
