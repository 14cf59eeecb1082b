"""What a lane does while another one hears the same messages: it keeps its own back, or notes the ids of what came.

Where one process gives way to several, or several to one, both hear every message for a moment, so that none is missed.
The one process keeps what it hears until the others have told which of it they have; the rest is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from tieline.integration.messages.message import Message

#: By a message's id and a rule's: the actions that nobody else writes, and whether nobody else counts it.
Left = Callable[[str, str], tuple[Collection[str], bool]]


def id_of(message: Message) -> str:
    """The id that the broker gave the message; "" for none."""
    return str(message.details().get("id") or "")


class Overlap:
    """A lane's messages that are kept back, and the ids of those that came."""

    def __init__(self) -> None:
        self.kept: list[Message] | None = None
        self.heard: set[str] | None = None

    def note(self, messages: Iterable[Message]) -> None:
        """Note the ids of messages, if that is wanted."""
        if self.heard is not None:
            self.heard.update(map(id_of, messages))

    def end(self) -> list[Message]:
        """Keep nothing back any more, and return what was."""
        kept, self.kept = self.kept or [], None
        return kept
