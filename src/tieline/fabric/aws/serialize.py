"""Answers and errors as XML: plans compiled from botocore's output shapes, for the ec2 and query protocols."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from tieline.fabric.aws.errors import AwsError, Protocol

Append = Callable[[str], None]
Write = Callable[[Append, Any], None]
Serialize = Callable[[Mapping[str, Any], str], bytes]  # values and request id to the body

MISSING: Any = object()
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
# Everything but XML 1.0's characters that stand for themselves; a bare carriage return would be read as a line feed.
SPECIAL = re.compile("[^\t\n\x20-\x25\x27-\x3b\x3d\x3f-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}


def escape(text: str) -> str:
    """The text as XML content, without the characters that XML 1.0 forbids; raises TypeError for anything but str."""
    if SPECIAL.search(text):
        return SPECIAL.sub(lambda found: ESCAPES.get(found[0], ""), text)
    return text


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


def _element(shape: Shape, tag: str) -> Write:
    """How a value of this shape is written between the tags of its element."""
    start, end = f"<{tag}>", f"</{tag}>"
    if not isinstance(shape, StructureShape | ListShape | MapShape):
        return _scalar(shape, start, end)
    if isinstance(shape, StructureShape):
        content = _content(shape)
    elif isinstance(shape, ListShape):
        content = _items(shape)
    else:
        content = _entries(shape)

    def write(append: Append, value: Any) -> None:
        append(start)
        content(append, value)
        append(end)

    return write


def _content(shape: StructureShape) -> Write:
    members = []
    for name, member in shape.members.items():
        tag = str(member.serialization.get("name", name))
        members.append((name, _element(member, tag), f"<{tag}/>" if isinstance(member, ListShape) else ""))
    known = frozenset(shape.members)

    def write(append: Append, values: Mapping[str, Any]) -> None:
        get = values.get
        seen = 0
        for name, element, empty in members:
            value = get(name, MISSING)
            if value is MISSING:
                if empty:
                    append(empty)
                continue
            seen += 1
            if value is not None:
                element(append, value)
        if seen != len(values):
            raise KeyError(f"{shape.name} has no member {', '.join(sorted(set(values) - known))}")

    return write


def _items(shape: ListShape) -> Write:
    if shape.serialization.get("flattened"):
        raise NotImplementedError(f"{shape.name}: no served service has flattened lists in its answers")
    element = _element(shape.member, str(shape.member.serialization.get("name", "member")))

    def write(append: Append, values: Sequence[Any]) -> None:
        if isinstance(values, str | bytes | Mapping):
            raise TypeError(f"{shape.name} is a list, not {type(values).__name__}")
        for value in values:
            element(append, value)

    return write


def _entries(shape: MapShape) -> Write:
    key = _element(shape.key, str(shape.key.serialization.get("name", "key")))
    entry = _element(shape.value, str(shape.value.serialization.get("name", "value")))

    def write(append: Append, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            append("<entry>")
            key(append, name)
            entry(append, value)
            append("</entry>")

    return write


def _scalar(shape: Shape, start: str, end: str) -> Write:
    text = TEXTS.get(shape.type_name, escape)

    def write(append: Append, value: Any) -> None:
        append(f"{start}{text(value)}{end}")

    return write


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
