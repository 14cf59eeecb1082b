"""Request parameters to typed values: plans compiled from botocore's input shapes, for the ec2 and query protocols.

The result has botocore's member names, as users of boto3 write them, and Python's types: str, int, float, bool, bytes,
datetime in UTC, list and dict. Whatever the bytes, nothing but AwsError comes out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from tieline.fabric.aws.protocol.checks import reader
from tieline.fabric.aws.protocol.errors import Protocol, invalid_value, missing_parameter, unknown_parameter
from tieline.fabric.aws.protocol.form import Node, Tree

Parse = Callable[[Node, str], Any]  # node and its full name to value; raises AwsError
INDEX = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)


def compile_input(operation: OperationModel, protocol: Protocol) -> Callable[[Tree], dict[str, Any]]:
    """A function from the request's tree (without Action, Version and signature) to the operation's parameters."""
    if operation.input_shape is None:
        return _nothing
    parse = _structure(operation.input_shape, protocol)

    def parameters(tree: Tree) -> dict[str, Any]:
        return parse(tree, "")  # type: ignore[no-any-return]

    return parameters


def _nothing(tree: Tree) -> dict[str, Any]:
    for name in tree:
        raise unknown_parameter(name)
    return {}


def wire_name(name: str, shape: Shape, protocol: Protocol) -> str:
    """What a member is called in a request."""
    given: str = shape.serialization.get("name", "")
    if protocol == "query":
        if isinstance(shape, ListShape) and shape.serialization.get("flattened"):
            return str(shape.member.serialization.get("name") or given or name)
        return given or name
    explicit: str = shape.serialization.get("queryName", "")
    return explicit or given[:1].upper() + given[1:] or name


def _compile(shape: Shape, protocol: Protocol) -> Parse:
    if isinstance(shape, StructureShape):
        return _structure(shape, protocol)
    if isinstance(shape, ListShape):
        return _list(shape, protocol)
    if isinstance(shape, MapShape):
        return _map(shape, protocol)
    return _scalar(shape, protocol)


def _scalar(shape: Shape, protocol: Protocol) -> Parse:
    read = reader(shape, protocol)

    def parse(node: Node, name: str) -> Any:
        if isinstance(node, dict):
            raise unknown_parameter(f"{name}.{next(iter(node))}")
        return read(node, name)

    return parse


def _structure(shape: StructureShape, protocol: Protocol) -> Parse:
    members: dict[str, tuple[str, Parse]] = {}
    for name, member in shape.members.items():
        members[wire_name(name, member, protocol)] = (name, _compile(member, protocol))
    required = tuple((name, wire_name(name, shape.members[name], protocol)) for name in shape.required_members)

    def parse(node: Node, path: str) -> dict[str, Any]:
        if isinstance(node, str):
            if node:
                raise invalid_value(protocol, path, node, "be a structure, with the names of its members behind a dot")
            node = {}
        prefix = f"{path}." if path else ""
        values: dict[str, Any] = {}
        for wire, child in node.items():
            member = members.get(wire)
            if member is None:
                raise unknown_parameter(prefix + wire)
            values[member[0]] = member[1](child, prefix + wire)
        for name, wire in required:
            if name not in values:
                raise missing_parameter(protocol, prefix + wire)
        return values

    return parse


def _list(shape: ListShape, protocol: Protocol) -> Parse:
    parse_member = _compile(shape.member, protocol)
    flat = protocol == "ec2" or shape.serialization.get("flattened")
    wrapper = "" if flat else str(shape.member.serialization.get("name", "member"))
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", math.inf)

    def parse(node: Node, path: str) -> list[Any]:
        values = [parse_member(child, name) for name, child in _elements(node, path, wrapper, protocol)]
        if len(values) < least:
            raise invalid_value(protocol, path, values, f"have length greater than or equal to {least}")
        if len(values) > most:
            raise invalid_value(protocol, path, values, f"have length less than or equal to {most}")
        return values

    return parse


def _map(shape: MapShape, protocol: Protocol) -> Parse:
    parse_key, parse_value = _compile(shape.key, protocol), _compile(shape.value, protocol)
    key_name, value_name = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
    wrapper = "" if shape.serialization.get("flattened") else "entry"

    def parse(node: Node, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, child in _elements(node, path, wrapper, protocol):
            if isinstance(child, str):
                raise unknown_parameter(name)
            for part in (key_name, value_name):
                if part not in child:
                    raise missing_parameter(protocol, f"{name}.{part}")
            values[parse_key(child[key_name], f"{name}.{key_name}")] = parse_value(
                child[value_name], f"{name}.{value_name}"
            )
        return values

    return parse


def _elements(node: Node, path: str, wrapper: str, protocol: Protocol) -> list[tuple[str, Node]]:
    """The elements below `path`, in the order of their indices, each with its full name; gaps do not count."""
    if wrapper and isinstance(node, dict):
        for name in node:
            if name != wrapper:
                raise unknown_parameter(f"{path}.{name}")
        node, path = node[wrapper], f"{path}.{wrapper}"
    if isinstance(node, str):
        if node:
            raise invalid_value(protocol, path, node, "be a list, with the index of each element behind a dot")
        return []
    for index in node:
        if not INDEX.fullmatch(index):
            raise unknown_parameter(f"{path}.{index}")
    return [(f"{path}.{index}", node[index]) for index in sorted(node, key=int)]
