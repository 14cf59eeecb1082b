"""CPU time of the AWS wire per call: route, verify, parse, dispatch of nothing, serialise; and the whole with a socket.

Run it with `python bench/wire.py [--json FILE]`. The first two lines exclude HTTP. The next two include uvicorn in this
process; the client, a plain socket that sends signed bytes, is a process of its own and not counted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import socket
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tieline.fabric.aws.protocol.claim import HttpRequest
from tieline.fabric.aws.protocol.signature import Credential
from tieline.fabric.aws.service.endpoint import Endpoint, Request
from tieline.fabric.aws.service.server import application, server

KNOWN = Credential("AKIABENCH", "secret", "111122223333", "arn:aws:iam::111122223333:root", "111122223333", "bench")
SMALL = b"Action=GetCallerIdentity&Version=2011-06-15"
LIST = b"Action=DescribeVpcEndpoints&Version=2016-11-15&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-0123456789abcdef0"
ENDPOINTS = 200
ROUNDS = 5


def vpc_endpoint(number: int) -> dict[str, Any]:
    """One interface endpoint in two zones with everything that AWS shows of it."""
    id = f"vpce-{number:017x}"
    service = "vpce-svc-0123456789abcdef0.us-east-1.vpce.amazonaws.com"
    names = [f"{id}-abcdefgh.{service}", *(f"{id}-abcdefgh-us-east-1{zone}.{service}" for zone in "ab")]
    return {
        "VpcEndpointId": id,
        "VpcEndpointType": "Interface",
        "VpcId": "vpc-0123456789abcdef0",
        "ServiceName": "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0",
        "State": "available",
        "PolicyDocument": '{"Statement": [{"Action": "*", "Effect": "Allow", "Principal": "*", "Resource": "*"}]}',
        "RouteTableIds": [],
        "SubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
        "Groups": [{"GroupId": "sg-0123456789abcdef0", "GroupName": "default"}],
        "IpAddressType": "ipv4",
        "DnsOptions": {"DnsRecordIpType": "ipv4"},
        "PrivateDnsEnabled": False,
        "RequesterManaged": False,
        "NetworkInterfaceIds": ["eni-0123456789abcdef0", "eni-0123456789abcdef1"],
        "DnsEntries": [{"DnsName": name, "HostedZoneId": "Z7HUB22UULQXV"} for name in names],
        "CreationTimestamp": datetime(2026, 1, 1, tzinfo=UTC),
        "Tags": [{"Key": "Name", "Value": f"link {number}"}],
        "OwnerId": "111122223333",
        "ServiceRegion": "us-east-1",
    }


LISTED = {"VpcEndpoints": [vpc_endpoint(number) for number in range(ENDPOINTS)]}


def dispatch(request: Request) -> Mapping[str, Any]:
    if request.operation == "DescribeVpcEndpoints":
        return LISTED
    return {"UserId": request.caller.user_id, "Account": request.caller.account, "Arn": request.caller.arn}


def signed(service: str, body: bytes) -> HttpRequest:
    kind = "application/x-www-form-urlencoded; charset=utf-8"
    request = AWSRequest("POST", "http://127.0.0.1/", {"Content-Type": kind}, body)
    SigV4Auth(Credentials(KNOWN.access_key, KNOWN.secret), service, "us-east-1").add_auth(request)
    headers = ((name.lower().encode(), value.encode()) for name, value in request.headers.items())
    return HttpRequest("POST", b"/", b"", ((b"host", b"127.0.0.1"), *headers), body)


def raw(request: HttpRequest) -> bytes:
    lines = [b"POST / HTTP/1.1", *(name + b": " + value for name, value in request.headers)]
    return b"\r\n".join([*lines, b"content-length: %d" % len(request.body), b"", request.body])


def lookup(access_key: str) -> Credential | None:
    return KNOWN if access_key == KNOWN.access_key else None


def now() -> datetime:
    return datetime.now(UTC)


def request_id() -> str:
    return "0f6c1d5e-0000-4000-8000-000000000000"


def median_cpu(work: Callable[[], None], calls: int) -> float:
    """Milliseconds of this process's CPU per call, the median of several rounds after one to warm up."""
    work()
    spent = []
    for _ in range(ROUNDS):
        before = time.process_time()
        work()
        spent.append((time.process_time() - before) * 1000 / calls)
    return statistics.median(spent)


def without_http(request: HttpRequest, calls: int) -> float:
    endpoint = Endpoint(dispatch, lookup, now, request_id)

    def work() -> None:
        for _ in range(calls):
            assert endpoint.answer(request).status == 200

    return median_cpu(work, calls)


def client(port: int, data: bytes, calls: int) -> None:
    """Send one request again and again over one connection, reading every answer whole."""
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
        for _ in range(calls):
            connection.sendall(data)
            assert b" 200 " in answers.readline()
            length = 0
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            answers.read(length)


def with_http(port: int, request: HttpRequest, calls: int) -> float:
    def work() -> None:
        process = multiprocessing.get_context("fork").Process(target=client, args=(port, raw(request), calls))
        process.start()
        process.join()
        assert process.exitcode == 0

    return median_cpu(work, calls)


def served(small: HttpRequest, listing: HttpRequest) -> tuple[float, float]:
    """Both requests through the server, which runs in a thread of this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = application(dispatch, lookup, clock=now, request_id=request_id)
    serving = server(app)
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not serving.started:
        time.sleep(0.01)
    port = listener.getsockname()[1]
    try:
        return with_http(port, small, 1000), with_http(port, listing, 50)
    finally:
        serving.should_exit = True
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    small, listing = signed("sts", SMALL), signed("ec2", LIST)
    whole = f"DescribeVpcEndpoints ({ENDPOINTS})"
    figures = {"GetCallerIdentity, without HTTP": without_http(small, 2000)}
    figures[f"{whole}, without HTTP"] = without_http(listing, 50)
    figures["GetCallerIdentity, served"], figures[f"{whole}, served"] = served(small, listing)
    for name, milliseconds in figures.items():
        print(f"{name + ':':42}{milliseconds:7.3f} ms CPU")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory at its highest: {memory:.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps({"milliseconds": figures, "MiB": round(memory)}, indent=2) + "\n")


if __name__ == "__main__":
    main()
