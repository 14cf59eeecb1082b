"""Which operation of which service a request asks for, and in which dialect a refusal must be written."""

from __future__ import annotations

import re

import msgspec

from tieline.fabric.aws.protocol import document, errors
from tieline.fabric.aws.protocol.claim import PRESIGNED, Claim, HttpRequest, claim_of
from tieline.fabric.aws.protocol.errors import AwsError, Protocol
from tieline.fabric.aws.protocol.form import Tree, decode, grow
from tieline.fabric.aws.protocol.model import Operation, Service, services

FORM = b"application/x-www-form-urlencoded"
CLASSIC_BALANCERS = "2012-06-01"  # the version of classic load balancers, which share ELBv2's signing name
SIGNED_SERVICE = re.compile(rb"(?:/|%2F)([A-Za-z0-9-]{1,64})(?:/|%2F)aws4_request", re.IGNORECASE)
SERVED = "This endpoint serves ec2, elasticloadbalancing (version 2015-12-01), monitoring (JSON) and sts"


class Route(msgspec.Struct, frozen=True):
    """A request that is complete in form; its signature is not verified and its parameters are not parsed yet."""

    claim: Claim
    service: Service
    operation: Operation
    tree: Tree


class Dialect(msgspec.Struct, frozen=True):
    """How a client expects a refusal."""

    protocol: Protocol
    namespace: str
    json: bool = False


def route(request: HttpRequest) -> Route:
    """Where a request goes; raises AwsError where it goes nowhere, with what to do instead."""
    claim = claim_of(request)
    if claim is None:
        raise _unsigned(request)
    candidates = [service for service in services().values() if service.signing_name == claim.service]
    if not candidates:
        raise errors.unsupported_operation(f"{SERVED}; not {claim.service[:40]}. Unset its endpoint URL to reach AWS.")
    if candidates[0].protocol == "json":
        return _document(request, claim, candidates[0])
    form = _form(request, presigned=claim.expires is not None)
    action, version = form.pop("Action", ""), form.pop("Version", "")
    if not action:
        raise errors.missing_action()
    service = candidates[0]
    if version == CLASSIC_BALANCERS and service.name == "elbv2":
        raise _classic(action)
    if version != service.version:
        raise errors.no_such_version(version, claim.service, service.version)
    return Route(claim, service, service.operation(action), grow(form))


def _document(request: HttpRequest, claim: Claim, service: Service) -> Route:
    """A request of the json protocol: its operation is named by a header."""
    if request.method != "POST" or (request.query and claim.expires is None):
        raise errors.malformed("operations of this service are asked for with POST, and with no query string.")
    target = request.header(b"x-amz-target")
    if not target.startswith(service.target):
        hint = "Newer protocols are not served: use boto3 or the AWS CLI, which speak JSON here."
        raise errors.unsupported_operation(f"X-Amz-Target must name an operation of {service.target.decode()} {hint}")
    operation = service.operation(target.removeprefix(service.target).decode("latin-1"))
    return Route(claim, service, operation, document.decode(request.body))


def _form(request: HttpRequest, presigned: bool) -> dict[str, str]:
    """The parameters of the query string and of the body, without those of the signature."""
    if request.method not in ("GET", "POST"):
        raise AwsError("MethodNotAllowed", f"The method {request.method[:20]} is not allowed. Use POST or GET.", 405)
    pairs = decode(request.query)
    if presigned:
        pairs = {name: value for name, value in pairs.items() if not name.startswith(PRESIGNED)}
    if not request.body:
        return pairs
    kind = request.header(b"content-type").partition(b";")[0].strip().lower()
    if kind not in (FORM, b""):
        raise errors.malformed(f"the body must be {FORM.decode()}, not {kind[:60].decode('latin-1')}.")
    body = decode(request.body)
    twice = pairs.keys() & body.keys()
    if twice:
        raise errors.malformed(f"the parameter {min(twice)[:60]} is in the query string and in the body.")
    return pairs | body


def _unsigned(request: HttpRequest) -> AwsError:
    action = _form(request, presigned=False).get("Action", "")
    if action in ("AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"):
        reason = "there is no identity provider to trust. Configure an access key, or use it to call AssumeRole."
        return errors.unsupported_operation(f"{action} is not served here: {reason}")
    return errors.missing_authentication_token()


def _classic(action: str) -> AwsError:
    error = errors.invalid_action(action)
    hint = "Classic load balancers are not served; use elbv2 (version 2015-12-01)."
    return AwsError(error.code, f"{error.message} {hint}")


def dialect(request: HttpRequest) -> Dialect:
    """The dialect of a client as far as its request shows it: by the signature's scope, else by the version."""
    found = SIGNED_SERVICE.search(request.header(b"authorization")) or SIGNED_SERVICE.search(request.query)
    signed = found[1].decode() if found else ""
    known = services()
    for service in known.values():
        version = f"Version={service.version}".encode()
        if service.signing_name == signed or (not signed and (version in request.body or version in request.query)):
            return Dialect(service.protocol, service.namespace, service.protocol == "json")
    json = request.header(b"content-type").startswith(b"application/x-amz-json")
    return Dialect("query", known["sts"].namespace, json)
