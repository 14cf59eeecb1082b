"""Botocore is the oracle: what it writes we read back, what we write it reads back, for every operation."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import Session
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tieline.fabric.aws import catalogue
from tieline.fabric.aws.protocol import document
from tieline.fabric.aws.protocol.checks import pattern_of
from tieline.fabric.aws.protocol.form import decode, grow
from tieline.fabric.aws.protocol.model import ServiceName, services

OPERATIONS: list[tuple[ServiceName, str]] = sorted(catalogue.served())  # type: ignore[arg-type]
LEAVES = "abcXYZ019"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
quick = settings(
    max_examples=15,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

Strategy = st.SearchStrategy[Any]


@cache
def model(service: ServiceName, name: str) -> OperationModel:
    return botocore_session().get_service_model(service).operation_model(name)


@cache
def botocore_session() -> Session:
    return Session()


def text(shape: Shape) -> Strategy:
    metadata = shape.metadata
    if "enum" in metadata:
        return st.sampled_from(sorted(metadata["enum"]))
    least, most = metadata.get("min", 0), metadata.get("max", 40)
    small = min(most, max(least, 12))
    pattern = pattern_of(shape)
    if pattern is None:
        return st.text(min_size=least, max_size=small)
    if pattern.fullmatch(LEAVES):
        return st.text(alphabet=LEAVES, min_size=least if pattern.fullmatch("") else max(least, 1), max_size=small)
    return st.from_regex(pattern, fullmatch=True).filter(lambda found: least <= len(found) <= most)


def number(shape: Shape) -> Strategy:
    bits = 31 if shape.type_name == "integer" else 63
    return st.integers(shape.metadata.get("min", -(1 << bits)), shape.metadata.get("max", (1 << bits) - 1))


SCALARS: dict[str, Callable[[Shape], Strategy]] = {
    "string": text,
    "integer": number,
    "long": number,
    "boolean": lambda _: st.booleans(),
    "double": lambda _: st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda value: round(value, 6)),
    "float": lambda _: st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda value: round(value, 6)),
    "blob": lambda _: st.binary(max_size=20),
    "timestamp": lambda _: st.integers(0, 10**12).map(lambda value: EPOCH + timedelta(milliseconds=value)),
}


class Generator:
    """Draws values of shapes, of bounded size. What is `sent` leaves a trace on the wire: nothing in it is hollow."""

    def __init__(self, data: st.DataObject, *, sent: bool, empty_lists: bool) -> None:
        self.draw = data.draw
        self.sent = sent
        self.least = 0 if empty_lists else 1

    def value(self, shape: Shape, depth: int) -> Any:
        if isinstance(shape, StructureShape):
            return self.structure(shape, depth)
        if isinstance(shape, ListShape):
            least = max(shape.metadata.get("min", 0), self.least)
            size = self.draw(st.integers(least, max(least, min(2, shape.metadata.get("max", 2)))))
            return [self.value(shape.member, depth - 1) for _ in range(size)]
        if isinstance(shape, MapShape):
            keys = self.draw(st.lists(text(shape.key), min_size=self.least, max_size=2, unique=True))
            return {key: self.value(shape.value, depth - 1) for key in keys}
        return self.draw(SCALARS[shape.type_name](shape))

    def structure(self, shape: StructureShape, depth: int) -> dict[str, Any]:
        required = set(shape.required_members) if self.sent else set()
        optional = sorted(set(shape.members) - required)
        least = 1 if self.sent and not required and optional else 0
        most = 4 if depth > 0 else least
        subset = st.lists(st.sampled_from(optional), min_size=least, max_size=most, unique=True)
        chosen = self.draw(subset) if optional else []
        names = [name for name in shape.members if name in required or name in chosen]
        return {name: self.value(shape.members[name], depth - 1) for name in names}


def with_every_list(shape: Shape, value: Any) -> Any:
    """The value with the empty lists that an answer always has, and the characters that XML can carry."""
    if isinstance(shape, StructureShape):
        full = {name: [] for name, member in shape.members.items() if isinstance(member, ListShape)} | value
        return {name: with_every_list(shape.members[name], item) for name, item in full.items()}
    if isinstance(shape, ListShape):
        return [with_every_list(shape.member, item) for item in value]
    if isinstance(value, str):
        return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", value)
    return value


@pytest.mark.parametrize(("service", "name"), OPERATIONS, ids=lambda value: str(value))
def test_reads_what_botocore_writes(service: ServiceName, name: str) -> None:
    operation = model(service, name)
    shape = operation.input_shape
    assert shape is not None
    serializer = create_serializer(services()[service].protocol)

    @quick
    @given(st.data())
    def check(data: st.DataObject) -> None:
        wanted = Generator(data, sent=True, empty_lists=service != "ec2").structure(shape, 4)
        body = serializer.serialize_to_request(wanted, operation)["body"]
        if services()[service].protocol == "json":
            tree = document.decode(body)
        else:
            form = decode(urlencode(body).encode())
            assert (form.pop("Action"), form.pop("Version")) == (name, services()[service].version)
            tree = grow(form)
        assert services()[service].operation(name).parse(tree) == wanted

    check()


@pytest.mark.parametrize(("service", "name"), OPERATIONS, ids=lambda value: str(value))
def test_writes_what_botocore_reads(service: ServiceName, name: str) -> None:
    operation = model(service, name)
    protocol = services()[service].protocol
    parser, headers = create_parser(protocol), {"x-amzn-requestid": "request-1"} if protocol == "json" else {}
    shape = operation.output_shape

    @quick
    @given(st.data())
    def check(data: st.DataObject) -> None:
        values = {} if shape is None else Generator(data, sent=False, empty_lists=True).structure(shape, 5)
        body = services()[service].operation(name).serialize(values, "request-1")
        read = parser.parse({"body": body, "headers": headers, "status_code": 200}, shape)  # type: ignore[arg-type]  # None is an answer without members
        assert read.pop("ResponseMetadata")["RequestId"] == "request-1"
        complete = values if shape is None or protocol == "json" else with_every_list(shape, values)  # JSON has no need
        assert read == complete

    check()
