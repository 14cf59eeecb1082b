"""Characters as a reader counts them: a letter with its accents is one, as Erlang's `string` module counts.

The rules are those of Unicode's annex 29 (https://www.unicode.org/reports/tr29/), with the classes that Python's
`unicodedata` tells.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_JOINER: Final = "\u200d"
_EXTENDING: Final = frozenset({"Mn", "Me", "Mc"})
_REGIONAL: Final = range(0x1F1E6, 0x1F200)  # pairs of these are flags
_TONES: Final = range(0x1F3FB, 0x1F400)  # skin tones, which change the emoji before them
_LEADING, _VOWEL, _TRAILING = range(0x1100, 0x1160), range(0x1160, 0x11A8), range(0x11A8, 0x1200)  # Hangul jamo
_SYLLABLES: Final = range(0xAC00, 0xD7A4)  # of Hangul; every 28th has no trailing consonant


def split(text: str) -> list[str]:
    """The text's characters."""
    if text.isascii() and "\r\n" not in text:
        return list(text)
    found: list[str] = []
    for character in text:
        if found and _continues(found[-1], character):
            found[-1] += character
        else:
            found.append(character)
    return found


def count(text: str) -> int:
    """How many characters the text has."""
    return len(text) - text.count("\r\n") if text.isascii() else len(split(text))


def _continues(before: str, character: str) -> bool:
    """Whether a character belongs to the cluster before it."""
    last = before[-1]
    if last in "\r\n" or character in "\r\n":
        return before == "\r" and character == "\n"
    if character == _JOINER or unicodedata.category(character) in _EXTENDING or ord(character) in _TONES:
        return True
    if ord(character) in _REGIONAL:
        return ord(last) in _REGIONAL and len(before) % 2 == 1
    if last == _JOINER:
        return unicodedata.category(character) == "So" and unicodedata.category(before[0]) == "So"
    return _one_syllable(ord(last), ord(character))


def _one_syllable(last: int, code: int) -> bool:
    """Whether two parts of Hangul belong to one syllable."""
    open_syllable = last in _SYLLABLES and (last - _SYLLABLES.start) % 28 == 0
    if last in _LEADING:
        return code in _LEADING or code in _VOWEL or code in _SYLLABLES
    if open_syllable or last in _VOWEL:
        return code in _VOWEL or code in _TRAILING
    return (last in _SYLLABLES or last in _TRAILING) and code in _TRAILING
