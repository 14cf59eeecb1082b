"""Functions on texts."""

from __future__ import annotations

import re
from typing import Any, Final

from tieline.integration.rules.errors import RuleFailure
from tieline.integration.rules.functions.registry import array, function, octets, text, whole
from tieline.integration.rules.values import as_text

GROUP: Final = "Text"
MAX_LENGTH: Final = 1 << 20  # characters that a function may make of less


def _one_of(value: Any, *choices: str) -> str:
    if value not in choices:
        raise RuleFailure(f"{' or '.join(map(repr, choices))} is needed, not {value!r}")
    return str(value)


@function(GROUP, ("lower('AbC')", "'abc'"))
def lower(x: Any) -> str:
    """Every letter small."""
    return text(x).lower()


@function(GROUP, ("upper('AbC')", "'ABC'"))
def upper(x: Any) -> str:
    """Every letter large."""
    return text(x).upper()


@function(GROUP, ("trim('  hello ')", "'hello'"))
def trim(x: Any) -> str:
    """Without white space at both ends."""
    return text(x).strip()


@function(GROUP, ("ltrim('  hello ')", "'hello '"))
def ltrim(x: Any) -> str:
    """Without white space at the beginning."""
    return text(x).lstrip()


@function(GROUP, ("rtrim('  hello ')", "'  hello'"))
def rtrim(x: Any) -> str:
    """Without white space at the end."""
    return text(x).rstrip()


@function(GROUP, ("rm_prefix('dev/1', 'dev/')", "'1'"))
def rm_prefix(x: Any, prefix: Any) -> str:
    """Without this beginning, if it has it."""
    return text(x).removeprefix(text(prefix))


@function(GROUP, ("reverse('hello')", "'olleh'"))
def reverse(x: Any) -> str:
    """Back to front."""
    return text(x)[::-1]


@function(GROUP, ("strlen('hello')", "5"))
def strlen(x: Any) -> int:
    """The number of characters."""
    return len(text(x))


@function(GROUP, ("substr('abcdef', 2)", "'cdef'"), ("substr('abcdef', 2, 3)", "'cde'"))
def substr(x: Any, start: Any, length: Any = None) -> str:
    """The part from a position, counted from 0, of at most so many characters."""
    begin = max(0, whole(start))
    return text(x)[begin:] if length is None else text(x)[begin : begin + max(0, whole(length))]


@function(GROUP, ("concat('a', '/', 1)", "'a/1'"))
def concat(first: Any, *others: Any) -> str:
    """All values as texts in a row."""
    return "".join(as_text(value) for value in (first, *others))


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
    mark = text(separator)
    if not mark:
        raise RuleFailure("the separator is empty")
    if chosen.startswith("leading"):
        parts = text(x).split(mark, 1)
    elif chosen.startswith("trailing"):
        parts = text(x).rsplit(mark, 1)
    else:
        parts = text(x).split(mark)
    return parts if chosen.endswith("notrim") else [part for part in parts if part]


@function(
    GROUP,
    ("tokens(' a/b/ c', '/ ')", "['a', 'b', 'c']"),
    ("tokens(concat('a/b', unescape('\\n')), '/', 'nocrlf')", "['a', 'b']"),
)
def tokens(x: Any, separators: Any, how: Any = None) -> list[str]:
    """The parts between any of the separator characters, without empty ones; with `nocrlf` line ends separate too."""
    marks = text(separators) + ("\r\n" if how is not None and _one_of(how, "nocrlf") else "")
    parts = re.split(f"[{re.escape(marks)}]", text(x)) if marks else [text(x)]
    return [part for part in parts if part]


@function(GROUP, ("join_to_string(['a', 1, true])", "'a, 1, true'"), ("join_to_string('-', [1, 2])", "'1-2'"))
def join_to_string(first: Any, second: Any = None) -> str:
    """The elements of an array as one text, with a separator between them (`, ` where none is given)."""
    separator, items = (", ", first) if second is None else (text(first), second)
    return separator.join(as_text(item) for item in array(items))


@function(GROUP, ("join_to_sql_values_string(['a''b', 1, payload.missing])", "'''a''''b'', 1, NULL'"))
def join_to_sql_values_string(items: Any) -> str:
    """The elements of an array as SQL literals with commas between them."""
    return ", ".join(_literal(item) for item in array(items))


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    written = as_text(value)
    return written if isinstance(value, (bool, int, float)) else "'" + written.replace("'", "''") + "'"


_DIRECTIVE: Final = re.compile(r"~(?:(?P<precision>\.\d+)?(?P<kind>[spwdfeg])|(?P<plain>[n~]))")


@function(
    GROUP,
    ("sprintf_s('hello, ~s: ~p of ~.2f', 'steve', 3, 2.5)", "'hello, steve: 3 of 2.50'"),
)
def sprintf_s(format: Any, *values: Any) -> str:
    """A text with values in it: `~s` and `~p` any value, `~.2f`, `~e`, `~g` a number, `~n` a line end, `~~` a tilde."""
    waiting = list(values)

    def fill(match: re.Match[str]) -> str:
        if match["plain"]:
            return "\n" if match["plain"] == "n" else "~"
        if not waiting:
            raise RuleFailure(f"no value is left for {match[0]}")
        value = waiting.pop(0)
        if match["kind"] in "feg":
            return f"{float(value):{min(match['precision'] or '.6', '.99')}{match['kind']}}"
        return as_text(value)

    written = _DIRECTIVE.sub(fill, text(format))
    if waiting:
        raise RuleFailure(f"{len(waiting)} more values than the format has places")
    return written


@function(GROUP, ("sprintf('count: ~p', 100)", "'count: 100'"))
def sprintf(format: Any, *values: Any) -> str:
    """The same as `sprintf_s`."""
    return sprintf_s(format, *values)


@function(
    GROUP,
    ("pad('abc', 5)", "'abc  '"),
    ("pad('abc', 5, 'both', '*')", "'*abc*'"),
    ("pad('abc', 5, 'leading', '*')", "'**abc'"),
)
def pad(x: Any, length: Any, where: Any = "trailing", filling: Any = " ") -> str:
    """Filled up to so many characters at the end (`trailing`), the beginning (`leading`) or both."""
    side = _one_of(where, "trailing", "leading", "both")
    missing = max(0, whole(length) - len(text(x)))
    if missing * len(text(filling)) > MAX_LENGTH:
        raise RuleFailure(f"a text of more than {MAX_LENGTH} characters")
    before = {"trailing": 0, "leading": missing, "both": missing // 2}[side]
    return str(filling) * before + str(x) + str(filling) * (missing - before)


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
        raise RuleFailure("the text to be replaced is empty")
    if chosen == "trailing":
        return text(new).join(text(x).rsplit(old, 1))
    return text(x).replace(old, text(new), -1 if chosen == "all" else 1)


@function(GROUP, ("ascii('a')", "97"))
def ascii(x: Any) -> int:
    """The number of a character."""
    if len(text(x)) != 1:
        raise RuleFailure(f"one character is needed, not {len(x)}")
    return ord(x)


@function(GROUP, ("find('eeabcabcee', 'abc')", "'abcabcee'"), ("find('eeabcabcee', 'abc', 'trailing')", "'abcee'"))
def find(x: Any, part: Any, where: Any = "leading") -> str:
    """What begins with the first (`leading`) or last (`trailing`) place of a part; empty where it is not there."""
    trailing = _one_of(where, "leading", "trailing") == "trailing"
    place = text(x).rfind(text(part)) if trailing else text(x).find(text(part))
    return str(x)[place:] if place >= 0 else ""


_UNESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


@function(GROUP, ("strlen(unescape('a\\tb'))", "3"))
def unescape(x: Any) -> str:
    """With `\\n`, `\\t`, `\\r`, `\\xHH` and their like turned into the characters that they name."""

    def character(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _UNESCAPED.get(match[2], match[2])

    return re.sub(r"\\(?:x([0-9a-fA-F]{2})|(.))", character, text(x), flags=re.DOTALL)


@function(GROUP, ("bytesize('é')", "2"))
def bytesize(x: Any) -> int:
    """The number of bytes of a text in UTF-8, or of bytes."""
    return len(octets(x))


@function(GROUP, ("bitsize('ab')", "16"))
def bitsize(x: Any) -> int:
    """Eight times the number of bytes."""
    return 8 * len(octets(x))
