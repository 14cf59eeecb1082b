"""An AWS endpoint with a tiny but real dispatch behind uvicorn on a free loopback port, and clients for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tieline.fabric.aws.protocol.errors import AwsError, dry_run, invalid_action
from tieline.fabric.aws.protocol.signature import Credential
from tieline.fabric.aws.service.pages import page
from tieline.fabric.aws.service.server import Request, application
from tieline.fabric.aws.service.server import server as aws_server

KEY, SECRET = "AKIATESTTESTTESTTEST", "a/secret+with=signs"
SESSION_KEY, SESSION_TOKEN = "ASIATESTTESTTESTTEST", "token/with+signs=="
ACCOUNT = "111122223333"


class Vpc:
    """What the tiny dispatch keeps."""

    def __init__(self, id: str, cidr: str) -> None:
        self.id = id
        self.cidr = cidr


class Cloud:
    """A dispatch with state: networks can be made, listed in pages and removed, and every call is remembered."""

    def __init__(self) -> None:
        self.calls: list[Request] = []
        self.vpcs: dict[str, Vpc] = {}

    def __call__(self, request: Request) -> Mapping[str, Any]:
        self.calls.append(request)
        operation: Callable[[Request], Mapping[str, Any]] | None = getattr(self, request.operation, None)
        if operation is None:
            raise invalid_action(request.operation)
        return operation(request)

    def GetCallerIdentity(self, request: Request) -> Mapping[str, Any]:
        return {"UserId": request.caller.user_id, "Account": request.caller.account, "Arn": request.caller.arn}

    def CreateVpc(self, request: Request) -> Mapping[str, Any]:
        if request.parameters.get("DryRun"):
            raise dry_run()
        vpc = Vpc(f"vpc-{len(self.vpcs):017x}", request.parameters["CidrBlock"])
        self.vpcs[vpc.id] = vpc
        return {"Vpc": {"VpcId": vpc.id, "CidrBlock": vpc.cidr, "IsDefault": False}}

    def DescribeVpcs(self, request: Request) -> Mapping[str, Any]:
        asked = request.parameters
        shown, token = page(self.vpcs.values(), asked.get("MaxResults"), asked.get("NextToken"))
        return {"Vpcs": [{"VpcId": vpc.id, "CidrBlock": vpc.cidr} for vpc in shown], "NextToken": token}

    def DeleteVpc(self, request: Request) -> Mapping[str, Any]:
        id = request.parameters["VpcId"]
        if self.vpcs.pop(id, None) is None:
            raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{id}' does not exist")
        return {}

    def DescribeTargetGroups(self, request: Request) -> Mapping[str, Any]:
        raise AwsError("TargetGroupNotFound", "One or more target groups not found")

    def AddTags(self, request: Request) -> Mapping[str, Any]:
        return {}

    def DescribeRegions(self, request: Request) -> Mapping[str, Any]:
        raise RuntimeError("the secret reason")

    def DescribeLoadBalancers(self, request: Request) -> Mapping[str, Any]:
        return {"LoadBalancer": []}  # a mistake of the operation: there is no such member


def credential(access_key: str = KEY, **changes: Any) -> Credential:
    arn = f"arn:aws:iam::{ACCOUNT}:root"
    return Credential(access_key, SECRET, ACCOUNT, arn, ACCOUNT, "customer", **changes)


def keys() -> dict[str, Credential]:
    session = credential(SESSION_KEY, session_token=SESSION_TOKEN, expires=datetime.now(UTC) + timedelta(hours=1))
    return {KEY: credential(), SESSION_KEY: session}


class Running:
    """The endpoint while it is served."""

    def __init__(self, port: int, cloud: Cloud) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.cloud = cloud

    def client(self, service: Any, **options: Any) -> Any:
        """A boto3 client that signs with the known key and never retries."""
        known: dict[str, Any] = {
            "aws_access_key_id": KEY,
            "aws_secret_access_key": SECRET,
            "region_name": "us-east-1",
            "config": Config(retries={"total_max_attempts": 1}, read_timeout=60),
        }
        return boto3.session.Session().client(service, endpoint_url=self.url, **(known | options))

    def raw(self, data: bytes) -> bytes:
        """What comes back for raw bytes, after which nothing more is sent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            chunks = []
            while chunk := connection.recv(65536):
                chunks.append(chunk)
            return b"".join(chunks)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    cloud = Cloud()
    counter = iter(range(1, 10**9))
    app = application(cloud, keys().get, clock=lambda: datetime.now(UTC), request_id=lambda: f"request-{next(counter)}")
    listener = socket.create_server(("127.0.0.1", 0))
    server = aws_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started, "the endpoint did not start within 60 s"
    try:
        yield Running(listener.getsockname()[1], cloud)
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
        assert not thread.is_alive()
