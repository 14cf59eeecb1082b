"""Line protocol out of a template: measurement, tags, fields and time, each value escaped for its place.

${topic},device=${device} temp=${temp},count=${n}i,up=${up} ${timestamp}

A field's value is a float, or with `i` a whole number; texts are quoted by themselves; what is NULL is left out, a tag
or a field alike. Values never end the part that they stand in.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

from tieline.integration.rules.compile.template import Path, Text, check_closed, exact_text, lookup, text_template
from tieline.integration.rules.values.errors import TemplateError

#: Where a line is cut: at spaces and commas that are neither escaped, nor in quotes, nor in a field of the template.
_SKIP: Final = r'(?:\\.|"(?:\\.|[^"\\])*"|\$\{[^}]*\}|[^\\"{cut}])+'
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,20}")


@dataclass(frozen=True)
class Pair:
    """A key and what its value is made of; `suffix` is `i` or `u` for whole numbers."""

    key: Text
    value: Text
    suffix: str = ""


@dataclass(frozen=True)
class Lines:
    """What makes a point's line of an output."""

    measurement: Text
    tags: tuple[Pair, ...]
    fields: tuple[Pair, ...]
    time: Text | None

    @property
    def timed(self) -> bool:
        """Whether the template says a point's time."""
        return self.time is not None

    @property
    def paths(self) -> tuple[Path, ...]:
        pairs = [text for pair in (*self.tags, *self.fields) for text in (pair.key, pair.value)]
        texts = [self.measurement, *pairs, *([self.time] if self.time else [])]
        return tuple(path for text in texts for path in text.paths)

    def render(self, output: dict[str, Any]) -> str:
        """The line; raises ValueError where it is no point."""
        measurement = _escaped(self.measurement, output, ", ")
        if not measurement:
            raise ValueError("a point without a measurement")
        tags = [
            f",{_escaped(tag.key, output, ',= ')}={value}" for tag in self.tags if (value := _tag(tag.value, output))
        ]
        fields = [
            f"{_escaped(field.key, output, ',= ')}={said}"
            for field in self.fields
            if (said := _field(field, output)) is not None
        ]
        if not fields:
            raise ValueError("a point whose fields are all NULL")
        return f"{measurement}{''.join(tags)} {','.join(fields)}{self._time(output)}"

    def _time(self, output: dict[str, Any]) -> str:
        if self.time is None:
            return ""
        text = self.time.render(output)
        try:
            return f" {_whole(text, 'i')}"
        except ValueError:
            raise ValueError(f"{text!r} is no time, which is a whole number of 64 bits") from None


def _escaped(text: Text, output: dict[str, Any], special: str) -> str:
    """A measurement, key or tag with what would end it escaped."""
    parts = []
    for part in text.parts:
        if isinstance(part, str):
            parts.append(part)
            continue
        value = exact_text(lookup(output, part))
        if "\n" in value or "\r" in value:
            raise ValueError(f"{value!r} has a line break, which can only be in a field's value")
        parts.append("".join(f"\\{character}" if character in special else character for character in value))
    whole = "".join(parts)
    if whole.endswith("\\"):  # it would escape what follows, and cannot be escaped itself
        raise ValueError(f"{whole!r} ends with a backslash, which can only be in a field's value")
    return whole


def _tag(text: Text, output: dict[str, Any]) -> str:
    keys = text.alone
    return "" if keys is not None and lookup(output, keys) is None else _escaped(text, output, ",= ")


def _field(field: Pair, output: dict[str, Any]) -> str | None:
    """A field's value, None where it is NULL."""
    keys = field.value.alone
    if keys is None:
        literal = field.value.render(output)
        if not field.value.paths:
            return literal + field.suffix
        return _quoted(literal[1:-1] if literal[:1] == literal[-1:] == '"' else literal)
    value = lookup(output, keys)
    if value is None:
        return None
    if field.suffix:
        return f"{_whole(value, field.suffix)}{field.suffix}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return _fraction(value)
    return _quoted(exact_text(value))


def _fraction(value: int | float) -> str:
    """A number that InfluxDB keeps with double precision."""
    try:
        if math.isfinite(value):
            return repr(value)
    except OverflowError:  # a whole number beyond every double
        raise ValueError("a whole number of this size is no number that InfluxDB can keep") from None
    raise ValueError(f"{value} is no number that InfluxDB can keep")


def _whole(value: Any, suffix: str) -> int:
    """A whole number of 64 bits, with a sign (`i`) or without (`u`)."""
    least, most = (0, (1 << 64) - 1) if suffix == "u" else (-1 << 63, (1 << 63) - 1)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    if not least <= value <= most:
        raise ValueError(f"a whole number from {least} to {most} is needed, and this one is beyond")
    return int(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def lines(template: str) -> Lines:
    """What a template in line protocol makes; raises TemplateError."""
    text = template.strip()
    if "\n" in text:
        raise TemplateError("write one line: each output of the rule is one point")
    check_closed(text)
    head, *rest = _cut(text, " ") or [""]
    if not 1 <= len(rest) <= 2:
        raise TemplateError("write measurement,tag=value field=value time, where tags and time may be missing")
    measurement, *tags = _cut(head, ",")
    return Lines(
        text_template(measurement),
        tuple(_pair(tag, whole=False) for tag in tags),
        tuple(_pair(field, whole=True) for field in _cut(rest[0], ",")),
        text_template(rest[1]) if len(rest) == 2 else None,
    )


def _cut(text: str, at: str) -> list[str]:
    return re.findall(_SKIP.replace("{cut}", at), text)


def _pair(text: str, whole: bool) -> Pair:
    key, *value = _cut(text, "=")
    if len(value) != 1:
        raise TemplateError(f"{text} is no key=value")
    found, suffix = value[0], ""
    if whole and re.fullmatch(r"\$\{[^}]*\}[iu]", found):
        found, suffix = found[:-1], found[-1]
    return Pair(text_template(key), text_template(found), suffix)
