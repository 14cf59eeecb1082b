"""Requests made from botocore's shapes, with ids that exist and ids that do not, and raw forms: no 5xx, no harm."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabric.aws.operations.scene import SCRIPT, SERVED, Scene, model
from tieline.fabric.aws import catalogue
from tieline.fabric.aws.protocol.claim import HttpRequest
from tieline.fabric.aws.service.endpoint import Answer, Endpoint
from tieline.fabric.daemon.dispatch import key_lookup

FORM = "application/x-www-form-urlencoded; charset=utf-8"
ODD = ("", "x", "-1", "0", "10.0.1.20", "10.0.0.0/16", "0.0.0.0/0", "*", "\u2028", "a" * 300, "#!/bin/sh", "tcp", "net")
FIT = 12  # how often a value fits its name, for each that does not
Known = dict[str, list[str]]
SHAPES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.sampled_from([1, 5, 10, 80, 900])
    | st.sampled_from([-1, 0, 65535, 65536])
    | st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "float": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "blob": st.binary(max_size=20),
    "timestamp": st.datetimes(timezones=st.just(UTC)),
}
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")


class Wire:
    """The endpoint in process, and a signer for the customer's key."""

    def __init__(self) -> None:
        self.scene = Scene()
        fabric = self.scene.fabric
        self.endpoint = Endpoint(fabric.dispatch, key_lookup(fabric.world), lambda: datetime.now(UTC), lambda: "r")
        credential = fabric.customer.credential
        self._keys = Credentials(credential.access_key, credential.secret)

    def send(self, service: str, form: dict[str, str]) -> Answer:
        scope = "elasticloadbalancing" if service == "elbv2" else service
        body = urlencode(form).encode()
        request = AWSRequest("POST", "http://127.0.0.1/", {"Content-Type": FORM}, body)
        SigV4Auth(self._keys, scope, "us-east-1").add_auth(request)
        headers = ((name.lower().encode(), value.encode()) for name, value in request.headers.items())
        return self.endpoint.answer(HttpRequest("POST", b"/", b"", ((b"host", b"127.0.0.1"), *headers), body))


@pytest.fixture(scope="module")
def wire() -> Wire:
    return Wire()


def values(shape: Shape, name: str, known: Known, depth: int = 0) -> st.SearchStrategy[Any]:
    """What a client could send for a shape: mostly what fits its name, else odd, or an id of something else."""
    if isinstance(shape, StructureShape):
        members = {each: values(member, each, known, depth + 1) for each, member in shape.members.items() if depth < 4}
        required = {each: members.pop(each) for each in shape.required_members if each in members}
        return st.fixed_dictionaries(required, optional=dict(list(members.items())[:8]) if depth else members)
    if isinstance(shape, ListShape):
        return st.lists(values(shape.member, name, known, depth + 1), max_size=2)
    if isinstance(shape, MapShape):
        return st.just({})
    if shape.type_name in SHAPES:
        return SHAPES[shape.type_name]
    odd = [*ODD, *(id for ids in known.values() for id in ids)]
    fitting = next((ids for part, ids in known.items() if part in name.lower()), shape.metadata.get("enum", []))
    if not fitting:
        return st.sampled_from(odd) | st.text(max_size=20)
    return st.sampled_from([*fitting] * (FIT * len(odd) // len(fitting) + 1) + odd)


def known(scene: Scene) -> Known:
    """What fits a parameter, by a part of its name in lower case; the first that is found counts."""
    ids = scene.ids
    return {
        "vpcendpointid": [ids["endpoint"]],
        "vpcid": [ids["vpc"]],
        "subnet": [ids["subnet"], ids["subnet2"]],
        "groupid": [ids["group"]],
        "securitygroups": [ids["group"]],
        "ruleid": [ids["rule"]],
        "instanceid": [ids["instance"]],
        "networkinterfaceid": [ids["interface"]],
        "targetgrouparn": [ids["targets"]],
        "loadbalancerarn": [ids["balancer"]],
        "listenerarn": [ids["listener"]],
        "servicename": [ids["service_name"]],
        "serviceid": [ids["service"]],
        "resourcearns": [ids["balancer"], ids["targets"], ids["listener"]],
        "resources": [ids[kind] for kind in ("vpc", "rule", "permission", "connection", "instance")],
        "rolearn": [ids["role"]],
        "principals": ["*", f"arn:aws:iam::{scene.fabric.platform.id}:root"],
        "cidr": ["10.0.7.0/24", "10.0.0.0/16", "10.0.1.0/24"],
        "imageid": ["local"],
        "availabilityzoneid": ["use1-az3"],
        "matcher": ["200-299"],
        "httpcode": ["200-299"],
        "healthcheckport": ["80", "traffic-port"],
        "key": ["deletion_protection.enabled", "tcp.idle_timeout.seconds", "deregistration_delay.timeout_seconds", "k"],
        "value": ["true", "60", "10.0.*"],
        "userdata": [SCRIPT],
        "privatednsname": ["db.test"],
        "targettype": ["ip"],
        "protocol": ["TCP", "tcp"],
        "scheme": ["internal"],
        "id": ["10.0.1.20", "10.0.2.20"],
        "name": ["vpc-id", "tag:k", "state", "name", "ab"],
    }


def few(parameters: dict[str, Any], required: set[str], taken: frozenset[str], limit: int) -> dict[str, Any]:
    """All required members and some others, since a request with every member fails at its first oddity."""
    others = [name for name in parameters if name not in required and (name in taken or limit > 5)]
    return {name: value for name, value in parameters.items() if name in required or name in others[:limit]}


def check(wire: Wire, service: str, form: dict[str, str], caplog: pytest.LogCaptureFixture) -> Answer:
    before = wire.scene.fabric.dump()
    with caplog.at_level(logging.ERROR):
        answer = wire.send(service, form)
    assert answer.status < 500, (form, answer, caplog.text)
    assert b"Traceback" not in answer.body
    if answer.code:
        assert wire.scene.fabric.dump() == before, (form, answer)
    return answer


@pytest.mark.parametrize(("service", "operation"), SERVED)
def test_no_request_of_the_right_shape_breaks_anything(
    service: str, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire, described = Wire(), model(service, operation)
    shape = described.input_shape
    if shape is None:
        return
    serializer = create_serializer(described.service_model.protocol, include_validation=False)
    required, taken = set(shape.required_members), catalogue.served()[service, operation].accepts - {"DryRun"}

    @settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(parameters=values(shape, operation, known(wire.scene)), limit=st.sampled_from([9, *range(6), *range(6)]))
    def run(parameters: dict[str, Any], limit: int) -> None:
        form = serializer.serialize_to_request(few(parameters, required, taken, limit), described)["body"]
        check(wire, service, {name: str(value) for name, value in form.items()}, caplog)

    run()


NAMES = st.sampled_from(
    ["VpcId", "VpcIds", "VpcId.1", "Filter.1.Name", "Filter.1", "Filter.1.Value.1", "Filter.x.Name"]
)
NAMES |= st.sampled_from(["Names.member.1", "Targets.member.1.Id", "TargetGroupArn", "DryRun", "MaxResults", "Marker"])
NAMES |= st.text(alphabet="AVpcId.1234member", max_size=12)


@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    served=st.sampled_from(SERVED), form=st.dictionaries(NAMES, st.sampled_from(ODD) | st.text(max_size=9), max_size=5)
)
def test_no_form_breaks_anything(
    wire: Wire, served: tuple[str, str], form: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    service, operation = served
    version = model(service, operation).service_model.api_version
    check(wire, service, {**form, "Action": operation, "Version": version}, caplog)
