"""The json protocol: parameters from a JSON body, checked against botocore's shapes, and answers back to JSON.

What comes out has botocore's member names and Python's types, as `parse` makes them of forms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from tieline.fabric.aws.protocol.errors import AwsError, invalid_value, missing_parameter, unknown_parameter

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "double": (int, float),
    "float": (int, float),
}


def decode(body: bytes) -> dict[str, Any]:
    """A request's body; raises AwsError where it is no JSON object."""
    try:
        found = json.loads((body or b"{}").decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise AwsError("SerializationException", "The body is not a JSON object: it is nested too deeply") from None
    except ValueError as error:
        raise AwsError("SerializationException", f"The body is not a JSON object: {error}") from None
    if not isinstance(found, dict):
        raise AwsError("SerializationException", "The body is not a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given more than once")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def compile_input(operation: OperationModel) -> Callable[[Any], dict[str, Any]]:
    """A function from the decoded body to the operation's parameters; raises AwsError."""
    shape = operation.input_shape

    def parameters(body: Any) -> dict[str, Any]:
        found: dict[str, Any] = _read(shape, body, "") if shape is not None else {}
        return found

    return parameters


def compile_output(_: OperationModel) -> Callable[[Mapping[str, Any], str], bytes]:
    """A function from values to the body; the request's id goes in a header. Times are seconds, as botocore reads."""

    def serialize(values: Mapping[str, Any], _: str) -> bytes:
        return msgspec.json.encode(_plain(values))

    return serialize


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items() if one is not None}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _read(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(shape, value, path)
    if isinstance(shape, ListShape):
        _expect(isinstance(value, list), path, value, "be a list")
        return [_read(shape.member, one, f"{path}.{number}") for number, one in enumerate(value, 1)]
    if isinstance(shape, MapShape):
        _expect(isinstance(value, dict), path, value, "be an object")
        return {name: _read(shape.value, one, f"{path}.{name}") for name, one in value.items()}
    if shape.type_name == "timestamp":
        return _moment(value, path)
    expected = TYPES.get(shape.type_name, str)
    fits = isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
    _expect(fits, path, value, f"be a {shape.type_name}")
    return value


def _structure(shape: StructureShape, value: Any, path: str) -> dict[str, Any]:
    _expect(isinstance(value, dict), path, value, "be an object")
    prefix, found = f"{path}." if path else "", {}
    for name, one in value.items():
        if name not in shape.members:
            raise unknown_parameter(prefix + name)
        if one is not None:
            found[name] = _read(shape.members[name], one, prefix + name)
    for name in shape.required_members:
        if name not in found:
            raise missing_parameter("query", prefix + name)
    return found


def _moment(value: Any, path: str) -> datetime:
    try:
        return datetime.fromtimestamp(value, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise invalid_value("query", path, value, "be a time in seconds since 1970") from None


def _expect(holds: bool, path: str, value: Any, rule: str) -> None:
    if not holds:
        raise invalid_value("query", path, value, rule)
