"""`tieline letter`: messages that a rule or its database refused: seen, corrected, tried again, exported, discarded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

import typer
from pydantic import BaseModel

from tieline.cli.connection import DeploymentKey, Json, connect, the_deployment
from tieline.cli.output import err, out, print_json, show
from tieline.cli.supplied import supplied
from tieline.client.rest import Client, ClientError
from tieline.cloud.schemas.answers import Letter, Letters, Replayed

app = typer.Typer(no_args_is_help=True, help="Dead letters: messages that could not be used.")

#: Times are in UTC.
COLUMNS = ("id", "time", "rule", "topic", "error")
FIRST_LOOK, LAST_LOOK = 0.2, 2.0  # seconds between two looks at what becomes of letters
Rule = Annotated[str, typer.Option(help="Only those of this rule, by id or name.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids; none: all, or all of a rule.")]


@app.command("list")
@supplied(connect)
def list_(
    client: Client,
    rule: Rule = "",
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """List dead letters, the oldest first."""
    place = the_deployment(client, deployment)
    letters = list(_every(client, place, rule))
    if as_json:
        show(letters, COLUMNS, as_json)
        return
    names = {rule.id: rule.name for rule in client.rules(place)}
    show([Line.of(letter, names) for letter in letters], COLUMNS, as_json)


@app.command()
@supplied(connect)
def export(client: Client, rule: Rule = "", deployment: DeploymentKey = "") -> None:
    """Print dead letters as JSON lines."""
    for letter in _every(client, the_deployment(client, deployment), rule):
        out.print(letter.model_dump_json(), markup=False)


@app.command()
@supplied(connect)
def correct(
    client: Client,
    letter: Annotated[str, typer.Argument(help="Id.")],
    payload: Annotated[str, typer.Option(help="The message's payload from now on.")],
    deployment: DeploymentKey = "",
) -> None:
    """Change the payload of a letter's message, to be tried again."""
    parts = ("deployments", the_deployment(client, deployment), "dead-letters", letter)
    found = client.ask(Letter, "PATCH", *parts, body={"message": {"payload": payload}})
    print_json(found.model_dump(mode="json"))


@app.command()
@supplied(connect)
def replay(
    client: Client,
    ids: Ids = None,
    rule: Rule = "",
    wait: Annotated[float, typer.Option(help="Seconds to wait for what becomes of them; 0 does not wait.")] = 30.0,
    deployment: DeploymentKey = "",
) -> None:
    """Give letters, or all of them, to their rules once more, as these are now, and wait for what becomes of them: the
    command's last line says how many were written. Exit status 1 where one stays, or comes back.
    """
    place = the_deployment(client, deployment)
    before = {letter.id: letter for letter in _every(client, place, rule)}
    parts = ("deployments", place, "dead-letters", "replay")
    found = client.ask(Replayed, "POST", *parts, body={"ids": ids or [], "rule": rule})
    print_json(found.model_dump(mode="json"))
    sent = {id for id in ids or before if id not in found.staying}
    outcome = (
        _outcome(lambda: list(_every(client, place, rule)), before, sent, wait) if wait and sent else Outcome(0, 0)
    )
    for line in outcome.lines(wait):
        err.print(line, markup=False)
    if found.staying or outcome.back or outcome.open:
        raise typer.Exit(1)


@app.command()
@supplied(connect)
def discard(
    client: Client,
    ids: Ids = None,
    rule: Rule = "",
    everything: Annotated[bool, typer.Option("--all", help="All of them, or with --rule all of the rule.")] = False,
    deployment: DeploymentKey = "",
) -> None:
    """Forget letters."""
    if not ids and not everything:
        raise ClientError("NOTHING_CHOSEN", "no letter is named", "name ids, or say --all")
    place = the_deployment(client, deployment)
    known = [letter.id for letter in _every(client, place, rule)]
    if unknown := set(ids or ()).difference(known):
        message = f"there is no dead letter {sorted(unknown)[0]!r}"
        raise ClientError("NOT_FOUND", message, "nothing was discarded: tieline letter list shows what there is")
    chosen = ids or known
    client.discard_letters(place, chosen)
    out.print(f"{len(chosen)} discarded")


class Line(BaseModel):
    """A letter as a list shows it."""

    id: str
    time: str
    rule: str
    topic: str
    error: str

    @classmethod
    def of(cls, letter: Letter, names: Mapping[str, str]) -> Line:
        """The line of a letter, with the rule's name where it still has one."""
        when = datetime.fromtimestamp(letter.time / 1000, UTC).isoformat(sep=" ", timespec="seconds")
        topic = str(letter.message.get("topic", ""))
        return cls(
            id=letter.id,
            time=when.removesuffix("+00:00"),
            rule=names.get(letter.rule, letter.rule),
            topic=topic,
            error=letter.error,
        )


@dataclass(frozen=True)
class Outcome:
    """What became of letters that were tried again: those that are written, that came back, and that are not done."""

    written: int
    open: int
    back: tuple[Letter, ...] = ()

    def lines(self, waited: float) -> Iterator[str]:
        """The same in words."""
        for letter in self.back:
            yield f"came back as {letter.id}: {letter.error}"
        if self.open:
            yield f"{self.open} not done within {waited:g} s: they go on; see tieline resource show for what keeps them"
        yield f"{self.written} written, {len(self.back)} came back"


def _outcome(look: Callable[[], list[Letter]], before: Mapping[str, Letter], sent: set[str], wait: float) -> Outcome:
    """Look until none of the letters is on its way any more, or so many seconds are over."""
    deadline, pause = time.monotonic() + wait, FIRST_LOOK
    while True:
        now = {letter.id: letter for letter in look()}
        left = sent & now.keys()
        if not left or time.monotonic() >= deadline:
            break
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 2, LAST_LOOK)
    tried = {_message(before[id]) for id in sent - left if id in before}
    back = tuple(one for id, one in now.items() if id not in before and _message(one) in tried)
    returned = {_message(one) for one in back}
    written = sum(id in before and _message(before[id]) not in returned for id in sent - left)
    return Outcome(written, len(left), back)


def _message(letter: Letter) -> tuple[str, str]:
    """Which rule and message a letter is of."""
    known = {name: value for name, value in letter.message.items() if name not in ("flags", "qos")}
    return letter.rule, str(known.get("id") or sorted(known.items(), key=lambda item: item[0]))


def _every(client: Client, deployment: str, rule: str) -> Iterator[Letter]:
    cursor: str | None = ""
    while cursor is not None:
        query = f"?{urlencode({'cursor': cursor, 'rule': rule})}"
        found = client.ask(Letters, "GET", "deployments", deployment, "dead-letters", query=query)
        yield from found.letters
        cursor = found.next_cursor
