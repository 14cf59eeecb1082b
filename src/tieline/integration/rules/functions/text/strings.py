"""Functions on texts."""

from __future__ import annotations

import re
from typing import Any, Final

from tieline.integration.rules.functions.text import graphemes
from tieline.integration.rules.registry import array, function, subject, text, whole
from tieline.integration.rules.values.bounds import spend
from tieline.integration.rules.values.errors import RuleFailure, Unfit
from tieline.integration.rules.values.texts import joined, written
from tieline.integration.rules.values.values import MISSING, NUMBERS

GROUP: Final = "Text"
#: White space at the ends of a text: https://www.erlang.org/doc/apps/stdlib/string.html#trim/3
WHITE: Final = "\t\n\v\f\r \x85\u200e\u200f\u2028\u2029"


def _one_of(value: Any, *choices: str) -> str:
    if value not in choices:
        raise Unfit(f"{' or '.join(map(repr, choices))} is needed, not {value!r}")
    return str(value)


@function(GROUP, ("lower('AbC')", "'abc'"))
def lower(x: Any) -> str:
    """Every letter small."""
    return subject(x).lower()


@function(GROUP, ("upper('AbC')", "'ABC'"))
def upper(x: Any) -> str:
    """Every letter large."""
    return subject(x).upper()


@function(GROUP, ("trim('  hello ')", "'hello'"), ("trim('xxaxx', 'x')", "'a'"))
def trim(x: Any, characters: Any = WHITE) -> str:
    """Without white space, or without these characters, at both ends."""
    return subject(x).strip(text(characters))


@function(GROUP, ("ltrim('  hello ')", "'hello '"), ("ltrim('xxa', 'x')", "'a'"))
def ltrim(x: Any, characters: Any = WHITE) -> str:
    """Without white space, or without these characters, at the beginning."""
    return subject(x).lstrip(text(characters))


@function(GROUP, ("rtrim('  hello ')", "'  hello'"), ("rtrim('abc', 'bc')", "'a'"))
def rtrim(x: Any, characters: Any = WHITE) -> str:
    """Without white space, or without these characters, at the end."""
    return subject(x).rstrip(text(characters))


@function(GROUP, ("rm_prefix('dev/1', 'dev/')", "'1'"))
def rm_prefix(x: Any, prefix: Any) -> str:
    """Without this beginning, if it has it."""
    return subject(x).removeprefix(text(prefix))


@function(GROUP, ("reverse('hello')", "'olleh'"))
def reverse(x: Any) -> str:
    """Back to front."""
    return "".join(reversed(graphemes.split(subject(x))))


@function(GROUP, ("strlen('hello')", "5"))
def strlen(x: Any) -> int:
    """The number of characters, an accent being part of its letter."""
    return graphemes.count(subject(x))


@function(GROUP, ("substr('abcdef', 2)", "'cdef'"), ("substr('abcdef', 2, 3)", "'cde'"))
def substr(x: Any, start: Any, length: Any = None) -> str:
    """The part from a position, counted from 0, of at most so many characters."""
    begin = max(0, whole(start))
    characters = graphemes.split(subject(x))
    return "".join(characters[begin:] if length is None else characters[begin : begin + max(0, whole(length))])


@function(GROUP, ("concat('a', '/', 1)", "'a/1'"), ("concat(['a', 1])", "'a1'"), telling=True)
def concat(first: Any, *others: Any) -> str | bytes:
    """All values as texts in a row, as `str` writes them; one array stands for its elements."""
    return joined(first if isinstance(first, list) and not others else (first, *others))


@function(
    GROUP,
    ("split('a/b//c', '/')", "['a', 'b', 'c']"),
    ("split('a/b/c', '/', 'leading')", "['a', 'b/c']"),
    ("split('a/b/c', '/', 'trailing')", "['a/b', 'c']"),
    ("split('a//b', '/', 'notrim')", "['a', '', 'b']"),
)
def split(x: Any, separator: Any = " ", how: Any = None) -> list[str]:
    """The parts between separators without the empty ones; `leading` or `trailing` splits once, at the first or last
    separator, and `notrim` keeps empty parts (also as `leading_notrim`, `trailing_notrim`).
    """
    chosen = _one_of(how or "all", "all", "leading", "trailing", "notrim", "leading_notrim", "trailing_notrim")
    mark, whole_text = text(separator), subject(x)
    if not mark:
        parts = [whole_text]
    elif chosen.startswith("leading"):
        parts = whole_text.split(mark, 1)
    elif chosen.startswith("trailing"):
        parts = whole_text.rsplit(mark, 1)
    else:
        parts = whole_text.split(mark)
    return parts if chosen.endswith("notrim") else [part for part in parts if part]


@function(
    GROUP,
    ("tokens(' a/b/ c', '/ ')", "['a', 'b', 'c']"),
    ("tokens(concat('a/b', unescape('\\n')), '/', 'nocrlf')", "['a', 'b']"),
)
def tokens(x: Any, separators: Any, how: Any = None) -> list[str]:
    """The parts between any of the separator characters, without empty ones; with `nocrlf` line ends separate too."""
    marks = text(separators) + ("\r\n" if how is not None and _one_of(how, "nocrlf") else "")
    parts = re.split(f"[{re.escape(marks)}]", subject(x)) if marks else [subject(x)]
    return [part for part in parts if part]


@function(
    GROUP,
    ("join_to_string(['a', 1, true])", "'a, 1, true'"),
    ("join_to_string('-', [1, 2])", "'1-2'"),
    telling=True,
)
def join_to_string(first: Any, second: Any = MISSING) -> str | bytes:
    """The elements of an array as one text, as `str` writes them, with a separator between them (`, ` where none is
    given).
    """
    separator, items = (", ", first) if second is MISSING else (text(first), second)
    return joined(array(items), separator)


@function(
    GROUP,
    ("join_to_sql_values_string(['a''b', 1, payload.missing])", "'''a''''b'', 1, NULL'"),
    telling=True,
)
def join_to_sql_values_string(items: Any) -> str | bytes:
    """The elements of an array as SQL literals with commas between them: numbers as they are, what is missing as NULL,
    all else as texts.
    """
    return joined(map(_literal, array(items)), ", ")


def _literal(value: Any) -> Any:
    if value is MISSING:
        return "NULL"
    return value if value.__class__ in NUMBERS else joined(("'", _doubled(written(value)), "'"))


def _doubled(written: str | bytes) -> str | bytes:
    return written.replace("'", "''") if isinstance(written, str) else written.replace(b"'", b"''")


@function(
    GROUP,
    ("pad('abc', 5)", "'abc  '"),
    ("pad('abc', 5, 'both', '*')", "'*abc*'"),
    ("pad('abc', 5, 'leading', '*')", "'**abc'"),
)
def pad(x: Any, length: Any, where: Any = "trailing", filling: Any = " ") -> str:
    """Filled up to so many characters at the end (`trailing`), the beginning (`leading`) or both."""
    side = _one_of(where, "trailing", "leading", "both")
    missing = max(0, whole(length) - graphemes.count(subject(x)))
    spend(missing * len(text(filling)))
    before = {"trailing": 0, "leading": missing, "both": missing // 2}[side]
    return str(filling) * before + subject(x) + str(filling) * (missing - before)


@function(
    GROUP,
    ("replace('ababef', 'ab', 'cd')", "'cdcdef'"),
    ("replace('ababef', 'ab', 'cd', 'leading')", "'cdabef'"),
    ("replace('ababef', 'ab', 'cd', 'trailing')", "'abcdef'"),
)
def replace(x: Any, old: Any, new: Any, where: Any = "all") -> str:
    """With one text in the place of another: each time (`all`), the first time (`leading`) or the last (`trailing`)."""
    chosen = _one_of(where, "all", "leading", "trailing")
    if not text(old):
        return subject(x)  # an empty text is nowhere
    if len(text(new)) > len(old):
        spend(len(subject(x)) + len(new) * (subject(x).count(old) if chosen == "all" else 1))
    if chosen == "trailing":
        return text(new).join(subject(x).rsplit(old, 1))
    return subject(x).replace(old, text(new), -1 if chosen == "all" else 1)


@function(GROUP, ("ascii('a')", "97"))
def ascii(x: Any) -> int:
    """The number of the first byte of a text."""
    if not subject(x):
        raise RuleFailure("the text is empty")
    return subject(x).encode()[0]


@function(GROUP, ("find('eeabcabcee', 'abc')", "'abcabcee'"), ("find('eeabcabcee', 'abc', 'trailing')", "'abcee'"))
def find(x: Any, part: Any, where: Any = "leading") -> str:
    """What begins with the first (`leading`) or last (`trailing`) place of a part; empty where it is not there."""
    trailing = _one_of(where, "leading", "trailing") == "trailing"
    place = subject(x).rfind(text(part)) if trailing else subject(x).find(text(part))
    return subject(x)[place:] if place >= 0 else ""


_ESCAPES: Final = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "a": "\a",
    **{character: character for character in ("\\", "'", '"', "?")},
}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]+)|(.?))", re.DOTALL)


@function(GROUP, ("strlen(unescape('a\\tb'))", "3"), ("unescape('\\x41')", "'A'"))
def unescape(x: Any) -> str:
    """With `\\n`, `\\t`, `\\r`, `\\b`, `\\f`, `\\v`, `\\a`, a backslash before `\\`, `'`, `"` or `?`, and `\\x` before
    any number of hexadecimal digits turned into the characters that they name.
    """

    def character(match: re.Match[str]) -> str:
        if match[1]:
            return _code(match[1])
        if match[2] and match[2] not in _ESCAPES:
            raise RuleFailure(f"{match[0]} is no escape")
        return _ESCAPES.get(match[2], "\\")  # the last of the text stands for itself

    return _ESCAPE.sub(character, subject(x))


def _code(digits: str) -> str:
    code = int(digits[-8:], 16) if not digits[:-8].strip("0") else -1
    if not 0 <= code < 0x110000 or 0xD800 <= code < 0xE000:
        raise RuleFailure(f"\\x{digits[:20]} is no character")
    return chr(code)
