"""Messages that could not be used, with the reason, kept on disk as JSON lines until somebody looks at them.

A message stands there once, with the first of its letters, however many rows and actions refused it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import uuid
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from tieline.integration.messages.message import Message
from tieline.integration.messages.plain import plain, shown

LIMIT: Final = 10_000  # letters that are kept; beyond it the oldest make room, and are counted
LIMIT_BYTES: Final = 64 << 20  # that they take on disk, likewise
PAGE_BYTES: Final = 4 << 20  # of letters in one answer, a quarter of what a frame of the agent's line may have
ERROR: Final = 2000  # characters of a reason
FIELDS: Final = 1 << 20  # characters of a message's fields apart from its payload
SAMPLE: Final = 64 << 10  # characters that are shown of a payload which is larger than a page
FILE: Final = "dead-letters.jsonl"
NO_LETTER: Final = "there is no such letter"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message that one rule, or one action of it, could not use."""

    id: str
    time: int  # Unix milliseconds
    rule: str
    action: str = ""  # none: the rule itself failed
    error: str
    message: dict[str, Any] = {}  # its fields; `payload_base64` instead of `payload` where it is not UTF-8
    output: Any = None  # what the rule made of it
    content: str = ""  # names the message, which is the same in all letters of this name


Known = dict[int, tuple[dict[str, Any], str]]  # messages by their Python id, as letters hold them


def letter(
    message: Message, rule: str, action: str, error: str, now: int, output: Any = None, known: Known | None = None
) -> DeadLetter:
    """The letter for a message, at this Unix time in milliseconds. Whatever message, error and output are, there is
    one, and it can be written down. `known` has the messages that letters were made for already.
    """
    held = known.get(id(message)) if known is not None else None
    if held is None:
        fields = _fields(message)
        held = fields, _named(fields)
        if known is not None:
            known[id(message)] = held
    return DeadLetter(
        id=uuid.uuid4().hex,
        time=now,
        rule=rule,
        action=action,
        error=shown(error, ERROR),
        message=held[0],
        output=plain(output),
        content=held[1],
    )


def _fields(message: Message) -> dict[str, Any]:
    """A message's fields, as JSON has them. The payload is whole; the rest is bounded."""
    try:
        fields = message.fields()
    except Exception as error:  # whatever it was: the payload is what counts
        fields = {"topic": message.topic, "qos": message.qos, "timestamp": message.timestamp, "unread": str(error)}
        fields["payload"] = message.payload
    if not fields:  # of an event that is none
        fields = {"topic": message.topic, "payload": message.text()}
    payload = fields.pop("payload", None)
    found: dict[str, Any] = plain(fields, FIELDS)
    if isinstance(payload, bytes):
        found["payload_base64"] = base64.b64encode(payload).decode()
    elif payload is not None:
        found["payload"] = payload if isinstance(payload, str) and _is_utf8(payload) else plain(payload, FIELDS)
    return found


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _named(fields: dict[str, Any]) -> str:
    return hashlib.blake2b(msgspec.json.encode(fields), digest_size=16).hexdigest()


class Asked(Protocol):
    """Which letters are asked for."""

    @property
    def rule(self) -> str: ...
    @property
    def after(self) -> tuple[int, str]: ...
    @property
    def limit(self) -> int: ...
    @property
    def bare(self) -> bool: ...


def order(letter: DeadLetter) -> tuple[int, str]:
    """By which letters are in order."""
    return letter.time, letter.id


def listed(letters: Iterable[DeadLetter], asked: Asked) -> tuple[tuple[DeadLetter, ...], bool]:
    """The letters that are asked for, as many as an answer takes, and whether some are left."""
    found = page(letters, asked.rule, asked.after, asked.limit)
    if asked.bare:
        return tuple(msgspec.structs.replace(one, message={}, output=None) for one in found), False
    return portion(found)


def page(letters: Iterable[DeadLetter], rule: str, after: tuple[int, str], limit: int) -> tuple[DeadLetter, ...]:
    """Those of a rule, or of all, in order of time and id: after this one, at most so many."""
    wanted = [one for one in letters if one.rule == rule or not rule]
    return tuple([one for one in sorted(wanted, key=order) if order(one) > tuple(after)][:limit])


def portion(letters: Iterable[DeadLetter], size: int = PAGE_BYTES) -> tuple[tuple[DeadLetter, ...], bool]:
    """The first of these letters, as many as fit so many bytes but at least one, and whether some are left. Of a
    message that does not fit, a part of its payload is shown.
    """
    found: list[DeadLetter] = []
    for one in letters:
        view = one
        weight = len(msgspec.json.encode(view))
        if weight > size:
            view = msgspec.structs.replace(one, message=_sampled(one.message))
            weight = len(msgspec.json.encode(view))
        size -= weight
        if found and size < 0:
            return tuple(found), True
        found.append(view)
    return tuple(found), False


def _sampled(message: dict[str, Any]) -> dict[str, Any]:
    part = {name: value[:SAMPLE] for name, value in message.items() if name.startswith("payload")}
    return {**message, **part, "payload_bytes": sum(len(message[name]) for name in part)}


def _append(file: FileIO, data: bytes) -> None:
    """All of it, on disk; raises OSError."""
    written = file.write(data)
    if written != len(data):
        raise OSError(errno.ENOSPC, "the disk took only a part")
    os.fsync(file.fileno())


class DeadLetters:
    """A bounded list of letters. With a directory it survives the process: `add` returns when the disk has them."""

    def __init__(self, directory: Path | None = None, limit: int = LIMIT, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.dropped = 0  # letters that made room for newer ones
        self._path = directory / FILE if directory is not None else None
        self._letters: dict[str, DeadLetter] = {}
        self._contents: dict[str, dict[str, Any]] = {}  # the messages by name, as the disk has them
        self.bytes = 0  # on disk, with what is not needed any more
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._load(self._path)

    def __len__(self) -> int:
        return len(self._letters)

    def list(self) -> list[DeadLetter]:
        """All letters, the oldest first."""
        return list(self._letters.values())

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Keep these letters, or none of them: raises OSError where the disk does not take them."""
        new = {one.id: self._shared(one) for one in letters}
        contents = dict(self._contents)
        data = _lines(new.values(), contents)
        full = len(self._letters) + len(new) > self.limit + self.limit // 10
        if full or self.bytes + len(data) > self.limit_bytes + self.limit_bytes // 10:
            self._make_room(self._letters | new)
            return
        self._write("ab", data)
        self._letters.update(new)
        self._contents, self.bytes = contents, self.bytes + len(data)

    def _shared(self, one: DeadLetter) -> DeadLetter:
        """The letter with the message that others of it hold."""
        known = self._contents.get(one.content)
        return one if known is None else msgspec.structs.replace(one, message=known)

    def edit(self, id: str, message: dict[str, Any]) -> None:
        """Change these fields of a letter's message; a letter that is not here is somebody else's."""
        if (known := self._letters.get(id)) is None:
            return
        fields = {
            name: value for name, value in known.message.items() if name != "payload_base64" or "payload" not in message
        }
        changed = fields | message
        letter = msgspec.structs.replace(known, message=changed, content=_named(changed))
        self._rewrite(self._letters | {id: letter})

    def remove(self, ids: Iterable[str]) -> None:
        """Forget these letters, or none of them: raises OSError where the disk does not take the list of the others."""
        gone = set(ids)
        if gone & self._letters.keys():
            self._rewrite({id: one for id, one in self._letters.items() if id not in gone})

    def finish(self, id: str) -> None:
        """Forget a letter at once; the disk forgets it with the next `save`, and a crash before that brings it back."""
        self._letters.pop(id, None)

    def save(self) -> None:
        """Make the disk know no more letters than we do; raises OSError where it cannot."""
        self._rewrite(self._letters)

    def inherit(self, directory: Path) -> None:
        """Take over the letters that another list, which nobody uses, left in its directory, or none: raises OSError.
        Cut short, it may be done again: a letter that is here already stays one.
        """
        if (directory / FILE).exists():
            letters = DeadLetters(directory)._letters | self._letters
            self._make_room(dict(sorted(letters.items(), key=lambda item: item[1].time)))
            (directory / FILE).unlink()

    def _make_room(self, letters: dict[str, DeadLetter]) -> None:
        """Keep these letters, without the oldest of too many, or of too many bytes; the newest stays in any case."""
        kept: dict[str, DeadLetter] = {}
        contents: dict[str, dict[str, Any]] = {}
        room = self.limit_bytes
        for one in reversed(letters.values()):
            room -= len(_lines([one], contents))
            if kept and (room < 0 or len(kept) >= self.limit):
                break
            kept[one.id] = one
        self._rewrite(dict(reversed(kept.items())))
        self.dropped += len(letters) - len(kept)

    def _rewrite(self, letters: dict[str, DeadLetter]) -> None:
        """Keep these letters and no others, on disk first."""
        contents: dict[str, dict[str, Any]] = {}
        data = _lines(letters.values(), contents)
        if self._path is not None:
            self._write("wb", data, self._path.with_suffix(".new"))
            self._path.with_suffix(".new").replace(self._path)
        self._letters, self._contents, self.bytes = letters, contents, len(data)

    def _write(self, mode: str, data: bytes, path: Path | None = None) -> None:
        if self._path is None:
            return
        with FileIO(path or self._path, mode) as file:
            before = file.tell()
            try:
                _append(file, data)
            except OSError:
                file.truncate(before)  # no half of a line, which would spoil the next one
                raise

    def _load(self, path: Path) -> None:
        """Read what is there; a last line that a crash cut short is left out, and no new one is put behind it."""
        if not path.exists():
            return
        content = path.read_bytes()
        for line in content.splitlines():
            one = _read(line, self._contents)
            if one is not None:
                self._letters[one.id] = one
        self.bytes = len(content)
        if not content.endswith(b"\n"):
            self._rewrite(self._letters)


def _lines(letters: Iterable[DeadLetter], contents: dict[str, dict[str, Any]]) -> bytes:
    """The letters as lines, each with its message unless that is among `contents`, which hold it then."""
    found = []
    for one in letters:
        if one.content in contents:
            one = msgspec.structs.replace(one, message={})
        else:
            contents[one.content] = one.message
        found.append(msgspec.json.encode(one) + b"\n")
    return b"".join(found)


def _read(line: bytes, contents: dict[str, dict[str, Any]]) -> DeadLetter | None:
    """The letter of a line, as any version wrote it; None where it is none, or its message is lost."""
    try:
        one = msgspec.json.decode(line, type=DeadLetter)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not one.message:
        message = contents.get(one.content)
        return None if message is None else msgspec.structs.replace(one, message=message)
    if not one.content:  # before messages were stored once
        one = msgspec.structs.replace(one, content=_named(one.message), output=plain(one.output))
    contents[one.content] = one.message
    return one
