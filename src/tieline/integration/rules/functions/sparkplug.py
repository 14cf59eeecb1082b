"""Sparkplug B payloads: Protocol Buffers of the schema in the Eclipse Sparkplug specification 3.0, section 6.4.

An alias stays an alias: its name is in a birth message, which a rule that sees one message at a time does not have.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any, Final

from tieline.integration.rules.registry import function, mapping, octets, readable
from tieline.integration.rules.values.errors import RuleFailure
from tieline.integration.rules.values.values import kind

GROUP: Final = "Sparkplug B"
#: What a value may be, the first of them under this number: the schema repeats it in five places.
_VALUES: Final = (
    "int_value uint32", "long_value uint64", "float_value float", "double_value double", "boolean_value bool",
    "string_value string",
)  # fmt: skip
_SCHEMA: Final[dict[str, dict[int, str]]] = {
    "Payload": {1: "timestamp uint64", 2: "metrics *Metric", 3: "seq uint64", 4: "uuid string", 5: "body bytes"},
    "Metric": {
        1: "name string", 2: "alias uint64", 3: "timestamp uint64", 4: "datatype uint32", 5: "is_historical bool",
        6: "is_transient bool", 7: "is_null bool", 8: "metadata MetaData", 9: "properties PropertySet",
        **dict(enumerate(_VALUES, 10)), 16: "bytes_value bytes", 17: "dataset_value DataSet",
        18: "template_value Template",
    },
    "MetaData": {
        1: "is_multi_part bool", 2: "content_type string", 3: "size uint64", 4: "seq uint64", 5: "file_name string",
        6: "file_type string", 7: "md5 string", 8: "description string",
    },
    "PropertySet": {1: "keys *string", 2: "values *PropertyValue"},
    "PropertySetList": {1: "propertyset *PropertySet"},
    "PropertyValue": {
        1: "type uint32", 2: "is_null bool", **dict(enumerate(_VALUES, 3)), 9: "propertyset_value PropertySet",
        10: "propertysets_value PropertySetList",
    },
    "DataSet": {1: "num_of_columns uint64", 2: "columns *string", 3: "types *uint32", 4: "rows *Row"},
    "Row": {1: "elements *DataSetValue"},
    "DataSetValue": dict(enumerate(_VALUES, 1)),
    "Template": {
        1: "version string", 2: "metrics *Metric", 3: "parameters *Parameter", 4: "template_ref string",
        5: "is_definition bool",
    },
    "Parameter": {1: "name string", 2: "type uint32", **dict(enumerate(_VALUES, 3))},
}  # fmt: skip


@cache
def _payload() -> Any:
    """The class of payloads; the library is loaded when a rule needs it."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b", package="sparkplug", syntax="proto2")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for number, said in fields.items():
            field, _, form = said.partition(" ")
            added = message.field.add(name=field, number=number)
            added.label = added.LABEL_REPEATED if form[0] == "*" else added.LABEL_OPTIONAL
            form = form.lstrip("*")
            if form in _SCHEMA:
                added.type, added.type_name = added.TYPE_MESSAGE, f".sparkplug.{form}"
            else:
                added.type = added.Type.Value(f"TYPE_{form.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


def _short(value: float) -> float:
    """The shortest decimal number that a float of 32 bits may stand for: 73.1, not 73.0999984741211."""
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", value):
            return short
    return value


def _decoded(message: Any) -> dict[str, Any]:
    """The fields that are set."""
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: Any, value: Any) -> Any:
    if field.is_repeated:
        return [_decoded(one) for one in value] if field.message_type else list(value)
    if field.message_type:
        return _decoded(value)
    if field.type == field.TYPE_BYTES:
        return readable(value)
    return _short(value) if field.type == field.TYPE_FLOAT else value


def _fill(message: Any, fields: dict[str, Any]) -> None:
    """Set these fields; raises RuleFailure."""
    known = message.DESCRIPTOR.fields_by_name
    for name, value in fields.items():
        if (field := known.get(name)) is None:
            raise RuleFailure(f"{message.DESCRIPTOR.name} has no field {name!r}")
        if value is None:
            continue
        try:
            _set(message, field, value)
        except (TypeError, ValueError) as error:
            raise RuleFailure(f"{name} cannot be {kind(value)} like {value!r}: {error}") from None


def _set(message: Any, field: Any, value: Any) -> None:
    if field.is_repeated:
        place = getattr(message, field.name)
        for one in value:
            _fill(place.add(), mapping(one)) if field.message_type else place.append(one)
    elif field.message_type:
        part = getattr(message, field.name)
        part.SetInParent()
        _fill(part, mapping(value))
    else:
        setattr(message, field.name, octets(value) if field.type == field.TYPE_BYTES else value)


@function(GROUP, ("map_get('seq', spb_decode(hexstr2bin('1801')))", "1"))
def spb_decode(x: Any) -> dict[str, Any]:
    """The fields of a Sparkplug B payload, named as in its schema; signed whole numbers are as they came, unsigned."""
    from google.protobuf.message import DecodeError

    try:
        return _decoded(_payload().FromString(octets(x)))
    except DecodeError as error:
        raise RuleFailure(f"this is no Sparkplug B payload: {error}") from None


@function(GROUP, ("bin2hexstr(spb_encode(json_decode('{\"seq\": 1}')))", "'1801'"))
def spb_encode(x: Any) -> bytes:
    """The Sparkplug B payload of a map with the fields of its schema."""
    message = _payload()()
    _fill(message, mapping(x))
    return bytes(message.SerializeToString())


@function(GROUP, ("map_get('seq', sparkplug_decode(hexstr2bin('1801')))", "1"))
def sparkplug_decode(x: Any) -> dict[str, Any]:
    """The same as `spb_decode`."""
    return spb_decode(x)


@function(GROUP, ("bin2hexstr(sparkplug_encode(json_decode('{\"seq\": 1}')))", "'1801'"))
def sparkplug_encode(x: Any) -> bytes:
    """The same as `spb_encode`."""
    return spb_encode(x)
