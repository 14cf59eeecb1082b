"""The Python client held against the interface's description: every call is an operation, every answer its schema."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import BaseModel

from tieline.client.rest import Client
from tieline.cloud.guard.records import UserView
from tieline.cloud.model.records import MqttUserView, PrivateLinkView
from tieline.cloud.schemas.answers import DeploymentAnswer, ResourceAnswer, RuleAnswer
from tieline.cloud.store.retention import RetentionView

M = TypeVar("M", bound=BaseModel)

PREFIX = "/api/v1"
NO_CALLS = {"close", "change", "ask"}  # `change` is tried with each of CHANGES; the path of `ask` is its caller's
CHANGES: Mapping[str, tuple[type[BaseModel], tuple[str, ...]]] = {
    "deployment": (DeploymentAnswer, ("deployments", "d")),
    "link": (PrivateLinkView, ("deployments", "d", "private-links", "l")),
    "resource": (ResourceAnswer, ("deployments", "d", "resources", "r")),
    "rule": (RuleAnswer, ("deployments", "d", "rules", "r")),
    "MQTT user": (MqttUserView, ("deployments", "d", "mqtt-users", "u")),
    "user": (UserView, ("users", "u")),
    "retention": (RetentionView, ("retention",)),
}


class Sent(Exception):
    """A request as it was about to be sent."""


class Recorder(Client):
    """Sends nothing: tells what it would send, and what it would read the answer as."""

    def _read(self, type: type[M], method: str, path: str, body: Mapping[str, Any] | None = None) -> M:
        raise Sent(method, path, type.__name__)

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        raise Sent(method, path, "")


def calls() -> Iterator[tuple[str, Callable[[Client], object]]]:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if name.startswith("_") or name in NO_CALLS:
            continue
        plain = [
            each
            for each in list(inspect.signature(method).parameters.values())[1:]
            if each.kind is each.POSITIONAL_OR_KEYWORD and each.default is each.empty
        ]
        values = ["stop" if each.name == "verb" else "a" for each in plain]
        yield name, lambda client, method=method, values=values: method(client, *values)  # type: ignore[misc]
    for name, (type, parts) in CHANGES.items():
        yield f"change {name}", lambda client, type=type, parts=parts: client.change(type, *parts, changes={})  # type: ignore[misc]


@pytest.fixture(scope="module")
def described(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/openapi.json").json()["paths"]
    return found


@pytest.mark.parametrize(("name", "call"), list(calls()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_call_is_an_operation(described: dict[str, Any], name: str, call: Callable[[Client], object]) -> None:
    client = Recorder("http://127.0.0.1:9", "none")
    with pytest.raises(Sent) as sent:
        call(client)
    client.close()
    method, path, read = sent.value.args
    operation = find(described, method, PREFIX + path.partition("?")[0])
    answers = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
    [answer] = answers.values()
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    if read:
        assert schema.get("$ref", "").rpartition("/")[2] == read


def find(described: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """The operation of a request: literal paths go before those with parameters."""
    for template in sorted(described, key=lambda each: each.count("{")):
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in described[template]:
            operation: dict[str, Any] = described[template][method.lower()]
            return operation
    raise AssertionError(f"the interface has no {method} {path}")
