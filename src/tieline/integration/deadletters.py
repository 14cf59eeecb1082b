"""Messages that could not be used, with the reason, kept on disk as JSON lines until somebody looks at them."""

from __future__ import annotations

import base64
import errno
import os
import uuid
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Any, Final

import msgspec

from tieline.integration.message import Message
from tieline.integration.rules.values import to_json

LIMIT: Final = 10_000  # letters that are kept; beyond it the oldest make room, and are counted
FILE: Final = "dead-letters.jsonl"
NO_LETTER: Final = "there is no such letter"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message that one rule, or one action of it, could not use."""

    id: str
    time: int  # Unix milliseconds
    rule: str
    action: str = ""  # none: the rule itself failed
    error: str
    message: dict[str, Any]  # the message's fields; `payload_base64` instead of `payload` where it is not UTF-8
    output: dict[str, Any] | None = None  # what the rule made of it


def letter(message: Message, rule: str, action: str, error: str, now: int, output: Any = None) -> DeadLetter:
    """The letter for a message, at this Unix time in milliseconds."""
    fields = message.fields()
    if isinstance(fields["payload"], bytes):
        fields["payload_base64"] = base64.b64encode(fields.pop("payload")).decode()
    return DeadLetter(
        id=uuid.uuid4().hex, time=now, rule=rule, action=action, error=error, message=fields, output=output
    )


def page(letters: Iterable[DeadLetter], rule: str, after: tuple[int, str], limit: int) -> tuple[DeadLetter, ...]:
    """Those of a rule, or of all, in order of time and id: after this one, at most so many."""
    wanted = [one for one in letters if one.rule == rule or not rule]
    ordered = sorted(wanted, key=lambda one: (one.time, one.id))
    return tuple([one for one in ordered if (one.time, one.id) > tuple(after)][:limit])


def _append(file: FileIO, data: bytes) -> None:
    """All of it, on disk; raises OSError."""
    written = file.write(data)
    if written != len(data):
        raise OSError(errno.ENOSPC, "the disk took only a part")
    os.fsync(file.fileno())


class DeadLetters:
    """A bounded list of letters. With a directory it survives the process: `add` returns when the disk has them."""

    def __init__(self, directory: Path | None = None, limit: int = LIMIT) -> None:
        self.limit = limit
        self.dropped = 0  # letters that made room for newer ones
        self._path = directory / FILE if directory is not None else None
        self._letters: dict[str, DeadLetter] = {}
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
        new = {one.id: one for one in letters}
        if len(self._letters) + len(new) > self.limit + self.limit // 10:
            self._make_room(self._letters | new)
        else:
            self._write("ab", new.values())
            self._letters.update(new)

    def edit(self, id: str, message: dict[str, Any]) -> None:
        """Change these fields of a letter's message; a letter that is not here is somebody else's."""
        if (known := self._letters.get(id)) is None:
            return
        fields = {
            name: value for name, value in known.message.items() if name != "payload_base64" or "payload" not in message
        }
        self._rewrite(self._letters | {id: msgspec.structs.replace(known, message=fields | message)})

    def remove(self, ids: Iterable[str]) -> None:
        """Forget these letters, or none of them: raises OSError where the disk does not take the list of the others."""
        gone = set(ids)
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
        """Keep these letters, without the oldest of too many."""
        surplus = max(0, len(letters) - self.limit)
        self._rewrite(dict(list(letters.items())[surplus:]))
        self.dropped += surplus

    def _rewrite(self, letters: dict[str, DeadLetter]) -> None:
        """Keep these letters and no others, on disk first."""
        if self._path is not None:
            self._write("wb", letters.values(), self._path.with_suffix(".new"))
            self._path.with_suffix(".new").replace(self._path)
        self._letters = letters

    def _write(self, mode: str, letters: Iterable[DeadLetter], path: Path | None = None) -> None:
        if self._path is None:
            return
        with FileIO(path or self._path, mode) as file:
            before = file.tell()
            try:
                _append(file, b"".join(to_json(msgspec.structs.asdict(one)).encode() + b"\n" for one in letters))
            except OSError:
                file.truncate(before)  # no half of a line, which would spoil the next one
                raise

    def _load(self, path: Path) -> None:
        """Read what is there; a last line that a crash cut short is left out, and no new one is put behind it."""
        if not path.exists():
            return
        content = path.read_bytes()
        for line in content.splitlines():
            try:
                one = msgspec.json.decode(line, type=DeadLetter)
            except msgspec.DecodeError:
                continue
            self._letters[one.id] = one
        if not content.endswith(b"\n"):
            self._rewrite(self._letters)
