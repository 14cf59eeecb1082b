"""Hostile values, in the spellings that reviews try: what is no id, name or address must not become one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

HOSTILE = (
    "",
    " ",
    "\0",
    "a" * 70_000,
    "-1",
    "../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/proc/self/environ",
    "' OR 1=1 --",
    '"; DROP TABLE documents; --',
    "$(touch /tmp/owned)",
    "`id`",
    "| id",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "%s%s%n",
    "<script>alert(1)</script>",
    "a\r\nX-Injected: 1",
    "a\nb",
    "\u202etxt.exe",
    "\ud7ff\ue000",
    "１２３",
    "ａｂｃ",
    "0x7f000001",
    "2130706433",
    "127.1",
    "10.0.0.0/255.255.0.0",
    "*",
    "?",
    "[",
    "null",
    "true",
    "NaN",
    "1e999",
    "--help",
    "-rf",
    "~root",
    "C:\\",
)


def near(value: str) -> tuple[str, ...]:
    """What looks like a value and is not it."""
    return (
        f"{value} ",
        f" {value}",
        f"{value}\n",
        f"{value}\0",
        value.upper(),
        value.title(),
        value[:-1],
        f"{value}0",
        f"{value}/..",
        f"{value}%00",
        f"{value},{value}",
        f"{value}*",
        value.replace("-", "‐"),
        value.replace("a", "а"),  # Cyrillic
    )


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every text in a structure, with the way there."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from leaves(one, (*path, index))


def replaced(value: Any, path: tuple[Any, ...], text: Any) -> Any:
    """The structure with another value at the end of a way."""
    if not path:
        return text
    first, *rest = path
    if isinstance(value, dict):
        return {key: replaced(one, tuple(rest), text) if key == first else one for key, one in value.items()}
    return [replaced(one, tuple(rest), text) if index == first else one for index, one in enumerate(value)]
