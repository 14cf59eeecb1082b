"""From PCRE's spelling of a regular expression, which EMQX takes, to RE2's, whose time is linear in the text.

What RE2 has no linear way for is refused with its place and with what to write instead.
PCRE: https://www.pcre.org/original/doc/html/pcrepattern.html; RE2: https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tieline.integration.rules.values.errors import Unfit

MAX_LENGTH: Final = 4096  # characters of an expression
MAX_REPEAT: Final = 1000  # of one repetition: RE2's own limit
_LAST: Final = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
#: White space across, and down, and all of it, as PCRE has it (pcrepattern, "Generic character types").
_ACROSS: Final[Ranges] = (
    *((9, 9), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200A)),
    *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
)
_DOWN: Final[Ranges] = ((10, 13), (0x85, 0x85), (0x2028, 0x2029))
_SPACE: Final[Ranges] = ((9, 13), (32, 32))
_TYPES: Final = {"h": _ACROSS, "v": _DOWN, "s": _SPACE}
_LINE_END: Final = r"(?:\r\n|[\n-\r\x{85}\x{2028}\x{2029}])"  # \R
_PLAIN: Final = {"e": r"\x1b", "N": r"[^\n]", "R": _LINE_END, "Z": r"\z", "G": "", "K": "", "X": "", "C": ""}
_SAME: Final = frozenset("dDwWbBAzafnrt")  # escapes that mean the same to both
_QUANTIFIER: Final = re.compile(r"(?:[*+?]|\{(\d+)(?:,(\d*))?\})([?+]?)", re.ASCII)
_NAMED: Final = re.compile(r"\(\?(?:P?<(\w+)>|'(\w+)')")
_FLAGS: Final = re.compile(r"\(\?([imsxUJ]*)(?:-([imsxUJ]+))?([:)])")
_HEXADECIMAL: Final = re.compile(r"\\x(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{0,2}))")
_OCTAL: Final = re.compile(r"\\(?:o\{([0-7]{1,7})\}|(0[0-7]{0,2}))")
_PROPERTY: Final = re.compile(r"\\[pP](?:\{\^?\w+\}|\w)")
_POSIX: Final = re.compile(r"\[:\^?\w+:\]")

_AROUND: Final = "a look ahead or behind is not taken: say it with two conditions, or match the text around it as well"
_NESTED: Final = "an expression inside itself is not taken: use json_decode() or jq() for what is nested"
_BACK: Final = "a reference to a group is not taken: get the groups with regex_extract() and compare them with ="
#: What RE2 has not, by its beginning; in order of what wins.
_REFUSED: Final = (
    (("(?=", "(?!", "(?<=", "(?<!"), _AROUND),
    (("(?>",), "an atomic group is not taken: write (?:…), this engine never goes back"),
    (("(?R", "(?&", "(?P>", *(f"(?{digit}" for digit in "0123456789+")), _NESTED),
    (("(?P=", r"\k", r"\g"), _BACK),
    (("(?(",), "a condition inside an expression is not taken: use CASE with two expressions"),
    (("(?|",), "groups of the same number are not taken: write (?:…) and number them apart"),
    (("(?C", "(*"), "verbs and callouts are not taken: leave them out"),
    ((r"\K",), r"\K is not taken: put what is to stay into a group, and name it in the replacement as \1"),
    ((r"\X",), r"\X is not taken: write . for a character"),
    ((r"\C",), r"\C is not taken: write . for a character, there are no bytes in a text"),
    ((r"\G",), r"\G is not taken: write \A or ^ for the beginning"),
)


class Translated(NamedTuple):
    r"""An expression as RE2 writes it.

    `before_newline` says that it has a `$` or `\Z`, which PCRE lets match before a line end that ends the text, and RE2
    does not.
    """

    text: str
    before_newline: bool


def translate(expression: str) -> Translated:
    """The same expression for RE2; raises Unfit with the offset in the expression."""
    if len(expression) > MAX_LENGTH:
        raise Unfit(f"a regular expression has at most {MAX_LENGTH} characters")
    translation = _Translation(expression)
    return Translated(translation.whole(), translation.before_newline)


def _characters(ranges: Ranges, negative: bool) -> str:
    """The inside of a class that has these characters, or all others."""
    if negative:
        edges = [0, *(edge for low, high in ranges for edge in (low - 1, high + 1)), _LAST]
        ranges = tuple(zip(edges[::2], edges[1::2], strict=True))
    return "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in ranges if low <= high)


class _Translation:
    """One walk through an expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._groups: list[tuple[int, bool]] = []  # where each open group began, and whether blanks meant nothing there
        self._free = False  # whether blanks and comments mean nothing: (?x)
        self._made: list[str] = []
        self.before_newline = False

    def whole(self) -> str:
        while self._at < len(self._text):
            self._made.append(self._part())
        if self._groups:
            raise Unfit("this ( is not closed", self._groups[-1][0])
        return "".join(self._made)

    def _part(self) -> str:
        rest = self._text[self._at]
        if rest == "\\":
            return self._escape(inside=False)
        if rest == "[":
            return self._class()
        if rest == "(":
            return self._open()
        if rest == ")":
            return self._close()
        if found := _QUANTIFIER.match(self._text, self._at):
            return self._quantifier(found)
        if self._free and (rest.isspace() or rest == "#"):
            return self._blank()
        self.before_newline |= rest == "$"
        return self._take(1)

    def _take(self, count: int) -> str:
        taken = self._text[self._at : self._at + count]
        self._at += count
        return taken

    def _blank(self) -> str:
        end = self._text.find("\n", self._at) if self._text[self._at] == "#" else self._at
        self._at = len(self._text) if end < 0 else end + 1
        return ""

    def _refuse(self) -> None:
        for beginnings, why in _REFUSED:
            if self._text.startswith(beginnings, self._at):
                raise Unfit(why, self._at)

    def _quantifier(self, found: re.Match[str]) -> str:
        if found[3] == "+":
            plain = found[0][:-1]
            raise Unfit(f"{found[0]} is not taken: write {plain}, this engine never goes back", found.start())
        if any(int(number) > MAX_REPEAT for number in found.groups()[:2] if number):
            raise Unfit(f"a repetition is of at most {MAX_REPEAT} times", found.start())
        return self._take(len(found[0]))

    # Groups

    def _open(self) -> str:
        if self._text.startswith(("(*UTF8)", "(*UTF)", "(*UCP)"), self._at):
            self._at = self._text.index(")", self._at) + 1
            return ""
        self._refuse()
        if self._text.startswith("(?#", self._at):
            return self._remark()
        if found := _FLAGS.match(self._text, self._at):
            return self._flags(found)
        self._groups.append((self._at, self._free))
        if found := _NAMED.match(self._text, self._at):
            self._at = found.end()
            return f"(?P<{found[1] or found[2]}>"
        return self._take(1)

    def _remark(self) -> str:
        end = self._text.find(")", self._at)
        if end < 0:
            raise Unfit("this comment is not closed", self._at)
        self._at = end + 1
        return ""

    def _flags(self, found: re.Match[str]) -> str:
        on, off = found[1], found[2] or ""
        if found[3] == ":":
            self._groups.append((self._at, self._free))
        self._free = ("x" in on or self._free) and "x" not in off
        self._at = found.end()
        on, off = (re.sub("[xJ]", "", letters) for letters in (on, off))
        written = f"{on}-{off}" if off else on
        return f"(?{written}{found[3]}" if written or found[3] == ":" else ""

    def _close(self) -> str:
        if not self._groups:
            raise Unfit(r"this ) closes nothing: write \) for the character", self._at)
        self._free = self._groups.pop()[1]
        return self._take(1)

    # Characters

    def _escape(self, inside: bool) -> str:
        letter = self._text[self._at + 1 : self._at + 2]
        if not letter:
            raise Unfit(r"the expression ends with \: write \\ for the character", self._at)
        if letter in "QE":
            return self._quoted()
        if not inside:
            self._refuse()
        for pattern in (_HEXADECIMAL, _OCTAL):
            if found := pattern.match(self._text, self._at):
                return self._code(found, 16 if pattern is _HEXADECIMAL else 8)
        if letter.lower() in _TYPES:
            characters = _characters(_TYPES[letter.lower()], letter.isupper())
            self._at += 2
            return characters if inside else f"[{characters}]"
        return self._letter(letter, inside)

    def _letter(self, letter: str, inside: bool) -> str:
        if letter == "b" and inside:
            return self._replaced(r"\x08")
        if letter in _SAME or not letter.isalnum():
            return self._take(2)
        if letter in "123456789":
            raise Unfit(_BACK, self._at)
        if found := _PROPERTY.match(self._text, self._at):
            return self._take(len(found[0]))
        if letter == "c" and (control := self._text[self._at + 2 : self._at + 3]).isascii() and control:
            self._at += 3
            return rf"\x{{{ord(control.upper()) ^ 64:x}}}"
        if _PLAIN.get(letter) and (letter == "e" or not inside):
            self.before_newline |= letter == "Z"
            return self._replaced(_PLAIN[letter])
        raise Unfit(rf"\{letter} means nothing here: write {letter} for the letter", self._at)

    def _replaced(self, written: str) -> str:
        self._at += 2
        return written

    def _code(self, found: re.Match[str], base: int) -> str:
        code = int(found[1] or found[2] or "0", base)
        if code > _LAST or 0xD800 <= code < 0xE000:
            raise Unfit(f"{found[0]} is no character", found.start())
        self._at = found.end()
        return rf"\x{{{code:x}}}"

    def _quoted(self) -> str:
        r"""What stands between `\Q` and `\E`, or the end; a lone `\E` means nothing."""
        if self._take(2) == r"\E":
            return ""
        end = self._text.find(r"\E", self._at)
        inside = self._take((len(self._text) if end < 0 else end) - self._at)
        self._at += 2 if end >= 0 else 0
        return "".join(rf"\x{{{ord(character):x}}}" for character in inside)

    def _class(self) -> str:
        start = self._at
        made = [self._take(2 if self._text.startswith("[^", self._at) else 1)]
        if self._text.startswith("]", self._at):
            self._at += 1
            made.append(r"\]")
        while not self._text.startswith("]", self._at):
            if self._at >= len(self._text):
                raise Unfit("this [ is not closed", start)
            if found := _POSIX.match(self._text, self._at):
                made.append(self._take(len(found[0])))
            elif self._text[self._at] == "\\":
                made.append(self._escape(inside=True))
            else:
                made.append(rf"\{self._take(1)}" if self._text[self._at] == "[" else self._take(1))
        return "".join(made) + self._take(1)
