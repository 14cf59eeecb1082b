"""Dead letters: messages that could not be used, each with its error; corrected, tried again, or discarded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.client.rest import ClientError
from tieline.cloud.agents.dead_letters import Letter, Replayed
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, desk, frame, trail, words
from tieline.console.live.snapshot import Snapshot
from tieline.console.session.leaving import leave
from tieline.console.session.rest import Rest

Counted = tuple[int, int]


@ui.page("/deployments/{name}/dead-letters", response_timeout=30)
async def dead_letters(request: Request, name: str) -> None:
    """The page."""
    view = await desk(request)
    with frame("Dead letters", "/deployments"):
        trail(("Deployments", "/deployments"), (name, f"/deployments/{name}?tab=monitoring"))
        parts.heading("Dead letters", 1)
        letters = Box(view, name)
        view.follow(letters.hear)
        await letters.look()


class Box:
    """The letters of a deployment, the oldest first, a page at a time."""

    def __init__(self, view: Desk, deployment: str) -> None:
        self._view, self._deployment = view, deployment
        self._page = self._cursor = ""
        self._turn = 0  # of the last look; what an earlier one finds after it is older
        self._cards: dict[str, ui.element] = {}
        self._known = self.counted(view.now)
        self._told = parts.stack().props("aria-live=polite")
        with parts.row() as self._all:
            parts.button("Replay all", lambda: self._replay())
            parts.button("Discard all", self._discard_all, kind="danger")
        self._list = parts.stack("wide")
        with parts.row():
            self._more = parts.button("Next page", self._next, kind="other")

    def counted(self, now: Snapshot) -> Counted:
        """How many there are, and how many ever came, by the agent's last report: one that was tried again in vain is
        gone, and another is there.
        """
        found = now.inside(self._deployment)
        if found is None:
            return (0, 0)
        ever = sum(rule.metrics.get("failed.exception", 0) for rule in found.rules)
        ever += sum(action.get("failed", 0) for rule in found.rules for action in rule.action_metrics)
        return (found.deployment.agent.dead_letters, ever)

    async def look(self, cursor: str = "") -> None:
        """Read a page, and show it."""
        self._page = cursor
        self._turn = turn = self._turn + 1
        try:
            page = await self._view.ask(lambda client: client.letters(self._deployment, cursor=cursor))
        except ClientError as error:
            if turn == self._turn:
                self._empty()
                with self._list:
                    parts.problem(words(error))
            return
        if turn != self._turn:
            return
        self._cursor = page.next_cursor or ""
        self._more.set_visibility(bool(self._cursor))
        self._all.set_visibility(bool(page.letters))
        self._show(page.letters)

    def _show(self, letters: Sequence[Letter]) -> None:
        """A letter that is shown already stays as it is: somebody may be correcting it."""
        here = {letter.id for letter in letters}
        if not here or not self._cards:
            self._empty()
        leave(self._list, [self._cards.pop(id) for id in self._cards.keys() - here])
        with self._list:
            if not here:
                parts.say("None: every message that a rule took was written, or waits to be.", "muted")
            for letter in letters:
                if letter.id not in self._cards:
                    with parts.card() as self._cards[letter.id]:
                        self._letter(letter)

    def _empty(self) -> None:
        self._list.clear()
        self._cards.clear()

    def hear(self, now: Snapshot) -> None:
        """Look again where there are others now."""
        count = self.counted(now)
        if count != self._known:
            self._known = count
            self._view.soon(lambda: self.look(self._page))

    async def _next(self) -> None:
        await self.look(self._cursor)

    def _letter(self, letter: Letter) -> None:
        message = dict(letter.message)
        payload = message.pop("payload", message.get("payload_base64", ""))
        text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
        with parts.row("between"):
            parts.tag("strong", text=f"Rule {self._rule(letter.rule)}, topic {message.get('topic', '')}")
            parts.say(parts.when(datetime.fromtimestamp(letter.time / 1000, UTC).isoformat()), "muted")
        parts.problem(letter.error)
        typed = parts.words("Payload", text)
        with parts.tag("details"):
            parts.tag("summary", text="The whole message, and what the rule made of it")
            parts.tag("pre", text=json.dumps(message, indent=1, ensure_ascii=False))
            if letter.output is not None:
                parts.tag("pre", text=json.dumps(letter.output, indent=1, ensure_ascii=False))

        async def again() -> None:
            nonlocal text
            wanted = typed.value
            if wanted != text:
                if not await self._view.do(lambda client: client.correct(self._deployment, letter.id, wanted)):
                    return
                text = wanted
            await self._replay(letter.id)

        with parts.row():
            parts.button("Replay", again, kind="other").props(f'aria-label="Replay letter {letter.id}"')
            parts.button("Discard", lambda: self._discard(letter.id), kind="danger").props(
                f'aria-label="Discard letter {letter.id}"'
            )

    def _rule(self, id: str) -> str:
        found = self._view.now.inside(self._deployment)
        return next((rule.name for rule in found.rules if rule.id == id), id) if found else id

    async def _replay(self, *ids: str) -> None:
        self._told.clear()
        done = await self._view.act(lambda client: client.replay(self._deployment, *ids))
        if done is not None:
            self._tell(done)
            await self.look()

    def _tell(self, done: Replayed) -> None:
        self._told.clear()
        with self._told:
            if done.under_way:
                parts.say(f"{done.under_way} on their way again. What still cannot be used comes back.", "good")
            for reason in sorted(set(done.staying.values())):
                parts.problem(f"Some stay: {reason}")

    async def _discard(self, id: str) -> None:
        await self._forget(lambda client: client.discard(self._deployment, id))

    async def _discard_all(self) -> None:
        text = "The messages are lost. This cannot be undone."
        with self._view.page:
            if await parts.confirmed(
                f"Discard all dead letters of {self._deployment}", text, self._deployment, "Discard"
            ):
                await self._forget(lambda client: client.discard(self._deployment))

    async def _forget(self, call: Any) -> None:
        def discard(client: Rest) -> None:
            call(client)

        if await self._view.do(discard):
            self._told.clear()
            await self.look()
