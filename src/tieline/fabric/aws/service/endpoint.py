"""From a whole HTTP request to its answer: route, verify, parse, dispatch, serialise."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from tieline.fabric.aws.protocol import errors
from tieline.fabric.aws.protocol.claim import HttpRequest
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.protocol.model import ServiceName
from tieline.fabric.aws.protocol.serialize import serialize_error
from tieline.fabric.aws.protocol.signature import Credential, KeyLookup, verify
from tieline.fabric.aws.service.routes import dialect, route

logger = logging.getLogger(__name__)

XML = b"text/xml;charset=UTF-8"
JSON = b"application/json"
DOCUMENT = b"application/x-amz-json-1.0"


class Request(msgspec.Struct, frozen=True):
    """One verified and parsed call; `parameters` has botocore's names and Python's types."""

    service: ServiceName
    operation: str
    parameters: Mapping[str, Any]
    caller: Credential
    region: str
    request_id: str


Dispatch = Callable[[Request], Mapping[str, Any]]


class Answer(msgspec.Struct, frozen=True):
    """What goes back; `code` is the error's, empty for a success."""

    status: int
    body: bytes
    request_id: str
    content_type: bytes = XML
    code: str = ""


class Endpoint:
    """The AWS endpoint without its transport. `answer` never raises."""

    def __init__(
        self, dispatch: Dispatch, lookup: KeyLookup, clock: Callable[[], datetime], request_id: Callable[[], str]
    ) -> None:
        self._dispatch = dispatch
        self._lookup = lookup
        self._request_id = request_id
        self.clock = clock

    def answer(self, request: HttpRequest) -> Answer:
        """The answer to a request. What `dispatch` raises besides AwsError is logged and answered without details."""
        request_id = self._request_id()
        if request.path == b"/healthz":
            return Answer(200, b'{"status": "ok"}', request_id, JSON)
        try:
            return self._perform(request, request_id)
        except AwsError as error:
            return refusal(request, error, request_id)
        except Exception:
            logger.exception("request %s failed", request_id)
            return refusal(request, errors.internal(dialect(request).protocol), request_id)

    def refuse(self, request: HttpRequest, error: AwsError) -> Answer:
        """The answer to a request that did not arrive whole."""
        return refusal(request, error, self._request_id())

    def _perform(self, request: HttpRequest, request_id: str) -> Answer:
        found = route(request)
        caller = verify(request, found.claim, self._lookup, self.clock())
        parameters = found.operation.parse(found.tree)
        call = Request(found.service.name, found.operation.name, parameters, caller, found.claim.region, request_id)
        try:
            body = found.operation.serialize(self._dispatch(call), request_id)
            return Answer(200, body, request_id, DOCUMENT if found.service.protocol == "json" else XML)
        except Exception as error:
            error.add_note(f"while serving {call.service} {call.operation} to {caller.arn}")
            raise


def refusal(request: HttpRequest, error: AwsError, request_id: str) -> Answer:
    """An error in the dialect of the client that asked."""
    spoken = dialect(request)
    if spoken.json:
        body = msgspec.json.encode({"__type": error.code, "message": error.message})
        return Answer(error.status, body, request_id, JSON, error.code)
    body = serialize_error(error, spoken.protocol, spoken.namespace, request_id)
    return Answer(error.status, body, request_id, XML, error.code)
