"""Dead letters given to their rules once more, as the rules are now."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterable
from typing import Any, Final

from tieline.integration.delivery.dead_letters import NO_LETTER, DeadLetter, DeadLetters
from tieline.integration.delivery.lane import Lane
from tieline.integration.messages.message import Message
from tieline.integration.rules.values.errors import NotMatched, RuleFailure

TOGETHER: Final = 0.05  # seconds in which letters that are done are collected and taken off the disk together
AGAIN: Final = 5.0  # seconds before a disk that took nothing is tried again

log = logging.getLogger(__name__)


class Replayer:
    """Letters on their way. A letter is removed when every row of it is safe, or is a newer letter."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters
        self._left: dict[str, int] = {}  # places that are not done with a letter
        self._saving = False

    def replay(self, ids: Iterable[str], lanes: list[Lane]) -> dict[str, str]:
        """Try these letters; the answer has a reason for each that stays where it is, and "" for one on its way."""
        known = {letter.id: letter for letter in self._letters.list()}
        return {id: self._one(known[id], lanes) if id in known else NO_LETTER for id in ids}

    def _one(self, letter: DeadLetter, lanes: list[Lane]) -> str:
        if letter.id in self._left:
            return "it is being tried already"
        message = restored(letter.message)
        places = [lane for lane in lanes if lane.serves(letter.rule, letter.action)]
        if not places:
            return f"rule {letter.rule} or its action {letter.action} does not run"
        self._left[letter.id] = len(places)
        try:
            for lane in places:
                lane.replay(letter.rule, letter.action, message, lambda: self._finished(letter.id))
                message = restored(letter.message)
        except (RuleFailure, NotMatched) as reason:
            del self._left[letter.id]
            return str(reason)
        return ""

    def _finished(self, id: str) -> None:
        if id not in self._left:  # another place refused it, so that it stays a letter
            return
        self._left[id] -= 1
        if self._left[id]:
            return
        del self._left[id]
        self._letters.finish(id)  # in the same breath as the newer letter: nobody sees both, nor none of them
        if not self._saving:
            self._saving = True
            asyncio.get_running_loop().call_later(TOGETHER, self._save)

    def close(self) -> None:
        """Take what is done off the disk now: a letter that is still there at the next start is tried again."""
        if self._saving:
            self._save()

    def _save(self) -> None:
        try:
            self._letters.save()
        except OSError as full:
            log.warning("letters that are done cannot be taken off the disk yet: %s", full)
            asyncio.get_running_loop().call_later(AGAIN, self._save)
        else:
            self._saving = False


def restored(fields: dict[str, Any]) -> Message:
    """The message that a letter holds."""
    known = dict(fields)
    if "payload_base64" in known:
        known["payload"] = base64.b64decode(known.pop("payload_base64"))
    return Message.sample(known)
