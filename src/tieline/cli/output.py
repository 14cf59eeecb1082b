"""How commands speak: tables for people, JSON for scripts, states in colour, errors with what helps."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tieline.client.rest import ClientError

T = TypeVar("T")

COLOURS = {
    "running": "green",
    "connected": "green",
    "creating": "cyan",
    "connecting": "cyan",
    "waiting_acceptance": "yellow",
    "waiting": "yellow",
    "disconnected": "red",
    "stopped": "yellow",
    "deleting": "magenta",
    "failed": "red",
}
WHOLE = {"id", "name", "status"}  # columns that are copied, or looked for: never broken, however narrow the window
POLL_SECONDS = 0.2

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def show(records: BaseModel | Sequence[BaseModel], columns: Sequence[str], as_json: bool) -> None:
    """Print records as a table of these columns (dotted for inner fields), or all of them as JSON."""
    if as_json:
        plain = [item.model_dump(mode="json") for item in records] if isinstance(records, Sequence) else None
        single = records.model_dump(mode="json") if isinstance(records, BaseModel) else plain
        print_json(single)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.rpartition(".")[2], overflow="fold", no_wrap=column in WHOLE)
    for record in [records] if isinstance(records, BaseModel) else records:
        table.add_row(*(_cell(_field(record, column)) for column in columns))
    out.print(table)
    _hints([records] if isinstance(records, BaseModel) else records)


def details(record: BaseModel, as_json: bool) -> None:
    """Print every field of one record, history line by line."""
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in record:
        if value not in ("", None, (), {}, []):
            table.add_row(Text(name, "bold"), _cell(value))
    out.print(table)


def print_json(value: object) -> None:
    """Print JSON for scripts."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def complain(error: ClientError) -> None:
    """Print what went wrong and what helps to standard error."""
    hop = f" (hop {error.extra['hop']})" if "hop" in error.extra else ""
    err.print(Text.assemble(("error: ", "bold red"), f"{error.message}{hop}"))
    if error.extra.get("cause"):
        err.print(Text.assemble(("cause: ", "bold"), str(error.extra["cause"])))
    if error.hint:
        err.print(Text.assemble(("hint:  ", "bold"), error.hint))


def wait_for(look: Callable[[], T], done: Callable[[T], bool], seconds: float) -> T:
    """Look again until `done` or the time is over; the last that was seen."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if done(seen) or time.monotonic() > deadline:
            return seen
        time.sleep(POLL_SECONDS)


def _hints(records: Iterable[BaseModel]) -> None:
    for record in records:
        if hint := getattr(record, "hint", ""):
            out.print(Text.assemble((f"{getattr(record, 'name', '')}: ", "bold"), hint))


def _field(record: BaseModel, path: str) -> object:
    value: object = record
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _cell(value: object) -> Text:
    if isinstance(value, (tuple, list)):
        separator = "\n" if value and isinstance(value[0], BaseModel) else ", "
        return Text(separator).join(_cell(item) for item in value)
    if isinstance(value, dict):
        return Text(", ".join(f"{key}={item}" for key, item in value.items()))
    if isinstance(value, BaseModel) and type(value).__str__ is BaseModel.__str__:
        return Text(" ".join(str(item) for _, item in value))
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    text = "" if value is None else str(value)
    return Text(text, COLOURS.get(text, ""))
