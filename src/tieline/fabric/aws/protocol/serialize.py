"""Answers and errors as XML: plans compiled from botocore's output shapes, for the ec2 and query protocols."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from tieline.fabric.aws.protocol.errors import AwsError, Protocol

Append = Callable[[str], None]
Write = Callable[[Append, Any], None]
Serialize = Callable[[Mapping[str, Any], str], bytes]  # values and request id to the body

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
# Everything but XML 1.0's characters that stand for themselves; a bare carriage return would be read as a line feed.
SPECIAL = re.compile("[^\t\n\x20-\x25\x27-\x3b\x3d\x3f-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
SHORT, MANY = 128, 8192  # characters of a text that is remembered, and how many are: at most about 2 MB


class Escaped(dict[str, str]):
    """Texts as XML content. Ids and names come again and again, and a look-up costs a fifth of an examination."""

    def __missing__(self, text: str) -> str:
        escaped = SPECIAL.sub(lambda found: ESCAPES.get(found[0], ""), text) if SPECIAL.search(text) else text
        if len(text) < SHORT:
            if len(self) >= MANY:
                self.clear()
            self[text] = escaped
        return escaped


# The text as XML content, without the characters that XML 1.0 forbids; raises TypeError for anything but str.
escape: Callable[[str], str] = Escaped().__getitem__


def compile_output(operation: OperationModel, protocol: Protocol) -> Serialize:
    """A function from the operation's values and the request's id to the whole body.

    Every list member is written, empty where the values have none, because clients index them; None leaves out any
    member, a list as well. Raises KeyError for a member that the model does not have and TypeError for a wrong type:
    both are mistakes of the operation.
    """
    shape = operation.output_shape
    name = operation.name
    namespace = namespace_of(operation)
    opening = f'{DECLARATION}<{name}Response xmlns="{namespace}">'
    closing = f"</{name}Response>"
    content = _content(shape) if isinstance(shape, StructureShape) else _no_content(protocol)
    if protocol == "ec2":
        return _ec2_answer(opening, content, closing)
    wrapper = shape.serialization.get("resultWrapper", f"{name}Result") if shape is not None else ""
    return _query_answer(opening, wrapper, content, closing)


def namespace_of(operation: OperationModel) -> str:
    return str(operation.metadata["xmlNamespace"]).rstrip("/") + "/"


def _ec2_answer(opening: str, content: Write, closing: str) -> Serialize:
    def serialize(values: Mapping[str, Any], request_id: str) -> bytes:
        parts = [f"{opening}<requestId>{escape(request_id)}</requestId>"]
        content(parts.append, values)
        parts.append(closing)
        return "".join(parts).encode()

    return serialize


def _query_answer(opening: str, wrapper: str, content: Write, closing: str) -> Serialize:
    start, end = (f"<{wrapper}>", f"</{wrapper}>") if wrapper else ("", "")

    def serialize(values: Mapping[str, Any], request_id: str) -> bytes:
        parts = [opening, start]
        content(parts.append, values)
        parts.append(
            f"{end}<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>{closing}",
        )
        return "".join(parts).encode()

    return serialize


def _no_content(protocol: Protocol) -> Write:
    text = "<return>true</return>" if protocol == "ec2" else ""

    def write(append: Append, values: Mapping[str, Any]) -> None:
        for name in values:
            raise KeyError(f"{name}: the operation answers nothing")
        append(text)

    return write


def _compound(shape: Shape) -> Write | None:
    """How what is inside the element is written; None for a scalar."""
    if isinstance(shape, StructureShape):
        return _content(shape)
    if isinstance(shape, ListShape):
        return _items(shape)
    return _entries(shape) if isinstance(shape, MapShape) else None


class Members(dict[str, tuple[Write | None, Callable[[Any], str], str, str]]):
    """How each member of a structure is written: as a compound or as a text, and its tags."""

    def __init__(self, shape: StructureShape) -> None:
        self.shape_name = shape.name
        for name, member in shape.members.items():
            tag = member.serialization.get("name", name)
            self[name] = (_compound(member), _text(member), f"<{tag}>", f"</{tag}>")

    def __missing__(self, name: str) -> NoReturn:
        raise KeyError(f"{self.shape_name} has no member {name}")


def _content(shape: StructureShape) -> Write:
    members = Members(shape)
    lists = [name for name, member in shape.members.items() if isinstance(member, ListShape)]
    empty_lists = [(name, f"<{shape.members[name].serialization.get('name', name)}/>") for name in lists]

    # The one hot loop: tags and texts of scalars are joined here and not in a function of each member.
    def write(append: Append, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            content, text, start, end = members[name]
            if value is None:
                continue
            if content is None:
                append(f"{start}{text(value)}{end}")
            else:
                append(start)
                content(append, value)
                append(end)
        for name, empty in empty_lists:
            if name not in values:
                append(empty)

    return write


def _items(shape: ListShape) -> Write:
    if shape.serialization.get("flattened"):
        raise NotImplementedError(f"{shape.name}: no served service has flattened lists in its answers")
    tag = shape.member.serialization.get("name", "member")
    start, end = f"<{tag}>", f"</{tag}>"
    content, text = _compound(shape.member), _text(shape.member)

    def write(append: Append, values: Sequence[Any]) -> None:
        if type(values) not in (list, tuple):
            raise TypeError(f"{shape.name} is a list, not {type(values).__name__}")
        if content is None:
            append("".join([f"{start}{text(value)}{end}" for value in values]))
            return
        for value in values:
            append(start)
            content(append, value)
            append(end)

    return write


def _entries(shape: MapShape) -> Write:
    if _compound(shape.key) or _compound(shape.value):
        raise NotImplementedError(f"{shape.name}: no served service has maps of anything but scalars in its answers")
    key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
    key_text, value_text = _text(shape.key), _text(shape.value)

    def write(append: Append, values: Mapping[str, Any]) -> None:
        for name, item in values.items():
            append(f"<entry><{key}>{key_text(name)}</{key}><{value}>{value_text(item)}</{value}></entry>")

    return write


def _text(shape: Shape) -> Callable[[Any], str]:
    return TEXTS.get(shape.type_name, escape)


def _integer(value: int) -> str:
    if type(value) is not int:
        raise TypeError(f"expected an int, not {type(value).__name__}")
    return str(value)


def _decimal(value: float) -> str:
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, not {type(value).__name__}")
    return repr(value)


def _boolean(value: bool) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    raise TypeError(f"expected a bool, not {type(value).__name__}")


@lru_cache(maxsize=4096)  # a record's times hardly change, and the time zone is slow
def _timestamp(value: datetime) -> str:
    if value.tzinfo is None:
        raise TypeError("expected a datetime with a time zone")
    return value.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _blob(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


TEXTS: dict[str, Callable[[Any], str]] = {
    "integer": _integer,
    "long": _integer,
    "float": _decimal,
    "double": _decimal,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": _blob,
}


def serialize_error(error: AwsError, protocol: Protocol, namespace: str, request_id: str) -> bytes:
    """The body of a refusal."""
    detail = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if protocol == "ec2":
        text = (
            f"<Response><Errors><Error>{detail}</Error></Errors><RequestID>{escape(request_id)}</RequestID></Response>"
        )
    else:
        text = (
            f'<ErrorResponse xmlns="{namespace}"><Error><Type>{error.fault}</Type>{detail}</Error>'
            f"<RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
        )
    return (DECLARATION + text).encode()
