"""Templates with `${field}`: texts, and SQL statements whose fields become typed parameters of a prepared statement.

Bytes stay what they are: where a place takes bytes, they go as they came; where it takes text only, or in JSON, bytes
that are UTF-8 are that text, and others are refused (`Unfit`), as any text for them would be another value's as well.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.rules.values.values import UNDEFINED, element, get

if TYPE_CHECKING:  # whoever reads a configuration needs no compiler
    from tieline.integration.rules.compile.compile import Output, Shape

Path = tuple[str, ...]
WHOLE: Final[Path] = ()  # ${.}: the whole output as JSON

MAX_LENGTH: Final = 65536  # characters of a template
_FIELD: Final = re.compile(r"\$\{([^}]*)\}")
_PATH: Final = re.compile(r"^\.?[^.\s${}]+(\.[^.\s${}]+)*$")
#: The parts of SQL that a field cannot stand in, and fields; in order of what wins at one place (PostgreSQL 15, 4.1).
#: One that is not closed goes on to the end: looked for again from each place, it would take the square of the length.
SQL_TOKEN: Final = re.compile(
    r"""(?P<quoted>'\$\{[^}']*\}')|(?P<field>\$\{[^}]*\})"""
    r"""|(?P<text>[eE]'(?:[^'\\]|\\.|'')*+(?:'|\Z)|'(?:[^']|'')*+(?:'|\Z))|(?P<name>"(?:[^"]|"")*+(?:"|\Z))"""
    r"""|(?P<dollar>(?<![\w$])\$(?P<tag>[A-Za-z_]*)\$(?:.*?\$(?P=tag)\$|.*))"""
    r"""|(?P<comment>--[^\n]*|/\*(?:.*?\*/|.*))|(?P<parameter>\$\d+)""",
    re.DOTALL,
)


def path(field: str) -> Path:
    """The keys of `a.b` or `.a.b`; `.` alone is the whole output. Raises TemplateError."""
    if field == ".":
        return WHOLE
    if not _PATH.match(field):
        raise TemplateError(
            f"${{{field}}} is no field: write ${{name}}, ${{name.part}}, or ${{.}} for everything", field
        )
    return tuple(field.lstrip(".").split("."))


class Unfit(ValueError):
    """A value that the place in a template cannot carry without becoming another one."""


_NO_TEXT: Final = "bytes that are no UTF-8 text, while its place takes text only: select base64_encode() of it"


def exact_json(value: Any) -> bytes:
    """A value as JSON; raises Unfit for bytes that are no text."""
    try:
        return orjson.dumps(value, default=_utf8)
    except orjson.JSONEncodeError as error:
        if isinstance(error.__cause__, Unfit):
            raise error.__cause__ from None
    return json.dumps(value, default=_utf8, ensure_ascii=False, separators=(",", ":")).encode()  # beyond 64 bits


def _utf8(value: Any) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} has no JSON")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unfit(_NO_TEXT) from None


def exact_text(value: Any) -> str:
    """A value inside a text: texts as they are, everything else as JSON; raises Unfit for bytes that are no text."""
    if isinstance(value, str):
        return value
    if value is None:
        return UNDEFINED
    return _utf8(value) if isinstance(value, bytes) else exact_json(value).decode()


def exact_bytes(value: Any) -> bytes:
    """A value inside bytes: bytes and texts as they are, everything else as JSON."""
    if isinstance(value, str):
        return value.encode()
    if value is None:
        return UNDEFINED.encode()
    return value if isinstance(value, bytes) else exact_json(value)


def lookup(output: Output, keys: Path) -> Any:
    """The value under a path, looking into texts that hold JSON; a number is an array's element from 1. Raises Unfit
    where the whole output is asked for, and has no JSON.
    """
    if keys == WHOLE:
        return exact_json(output).decode()
    value: Any = output
    for key in keys:
        value = element(value, int(key)) if isinstance(value, list) and key.isdigit() else get(value, key)
    return value


@dataclass(frozen=True)
class Text:
    """A text with fields in it: literal parts and paths in turn, beginning and ending with a literal."""

    parts: tuple[str | Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(part for part in self.parts if isinstance(part, tuple))

    @property
    def alone(self) -> Path | None:
        """The path of a template that is one field and nothing else."""
        return self.paths[0] if len(self.paths) == 1 and self.parts[0] == self.parts[-1] == "" else None

    def render(self, output: Output) -> str:
        """The text for one output; what is missing reads `undefined`. Raises Unfit, which names the field."""
        found = []
        for part in self.parts:
            try:
                found.append(part if isinstance(part, str) else exact_text(lookup(output, part)))
            except Unfit as error:
                raise _named(error, part) from None
        return "".join(found)

    def data(self, output: Output) -> bytes:
        """The same as bytes, in which bytes of the output are as they came."""
        if self.parts == _EVERYTHING:
            return exact_json(output)
        found = []
        for part in self.parts:
            try:
                found.append(part.encode() if isinstance(part, str) else exact_bytes(lookup(output, part)))
            except Unfit as error:
                raise _named(error, part) from None
        return b"".join(found)


def _named(error: Unfit, part: str | Path) -> Unfit:
    return Unfit(f"${{{'.'.join(part) or '.'}}}: {error}")


_EVERYTHING: Final = ("", WHOLE, "")


def text_template(template: str) -> Text:
    """A text with `${field}`s; raises TemplateError."""
    check_length(template)
    parts: list[str | Path] = []
    begin = 0
    while (found := template.find("${", begin)) >= 0 and (end := template.find("}", found)) >= 0:
        parts += (template[begin:found], path(template[found + 2 : end]))
        begin = end + 1
    return Text((*parts, template[begin:]))


def check_length(template: str) -> None:
    """Raises TemplateError for a template that nobody writes by hand."""
    if len(template) > MAX_LENGTH:
        raise TemplateError(f"a template has at most {MAX_LENGTH} characters")


def check_closed(template: str) -> None:
    """Raises TemplateError for a template that is too long, or has a `${` that is not closed."""
    check_length(template)
    if template.rfind("${") > template.rfind("}"):
        raise TemplateError("a ${ is not closed")


@dataclass(frozen=True)
class Statement:
    """A SQL statement with the parameters `$1` … and the path that each takes from an output."""

    sql: str
    paths: tuple[Path, ...]


def sql_template(template: str) -> Statement:
    """A SQL statement whose fields are parameters, so that no value can change it; raises TemplateError.

    `${field}` and `'${field}'` are the same. A field inside a longer text, a name or a comment is refused, as is `$1`.
    """
    paths: list[Path] = []

    def replace(match: re.Match[str]) -> str:
        if field := match["quoted"] or match["field"]:
            paths.append(path(field.strip("'")[2:-1]))
            return f"${len(paths)}"
        if match["parameter"]:
            raise TemplateError(f"{match['parameter']} has no value: name a field as ${{field}}")
        if inner := _FIELD.search(match[0]):
            raise TemplateError(
                f"{inner[0]} stands inside {match[0]}: a field is a value of its own, as in 'text' || {inner[0]}",
                inner[1],
            )
        return match[0]

    if not template.strip():
        raise TemplateError("the SQL template is empty")
    check_closed(template)
    sql = SQL_TOKEN.sub(replace, template)
    if "${" in sql:
        raise TemplateError("a ${ is not closed")
    return Statement(sql, tuple(paths))


def check_fields(paths: tuple[Path, ...], rule: Shape) -> None:
    """Raises TemplateError for the first field that the rule's outputs never have."""
    for keys in paths:
        if keys != WHOLE and not rule.gives(keys):
            known = sorted(".".join(known) for known in rule.paths)
            field = ".".join(keys)
            raise TemplateError(f"the rule does not select {field!r}; it gives {', '.join(known) or 'nothing'}", field)
