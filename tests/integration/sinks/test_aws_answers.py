"""What AWS answers beyond yes: keys that it does not take, requests that it takes in part, and TLS, on the wire."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgspec
import pytest

from brokers import Front, Moto
from certificates import Authority
from integration.sinks import test_aws
from integration.sinks.trying import failing
from integration.sinks.ways import way, write
from tieline.integration.config.shapes import Ssl
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.aws.batches import Entry, Limits, chunks
from tieline.integration.sinks.aws.dynamodb import attribute
from tieline.integration.sinks.aws.resource import Aws, Client
from tieline.integration.sinks.aws.s3 import S3, S3Object, S3Writer, key_template
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world
Document = dict[str, Any]
#: Changes a request on its way to moto, and makes of moto's answer what AWS says of the part that it did not take.
Meddle = Callable[[str, Document], "tuple[Document, Callable[[Document], tuple[int, Document]]]"]


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with Moto() as server:
        yield server


@contextmanager
def between(moto: Moto, meddle: Meddle) -> Iterator[str]:
    """The endpoint of a gateway before moto which takes only a part of what it gets."""

    class Gateway(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            sent, answer = meddle(operation, body)
            skipped = ("content-length", "host", "connection", "accept-encoding")
            headers = {name: value for name, value in self.headers.items() if name.lower() not in skipped}
            request = urllib.request.Request(moto.endpoint, json.dumps(sent).encode(), headers)
            with urllib.request.urlopen(request) as reply:
                status, said = answer(json.loads(reply.read() or b"{}"))
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", self.headers["Content-Type"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Halves:
    """Takes every other member of each request, and hands back the others in the service's own way."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()  # times that a member reached the service, by its number

    def __call__(self, operation: str, body: Document) -> Any:
        return getattr(self, operation, self._through)(body)

    def _through(self, body: Document) -> Any:
        return body, lambda said: (200, said)

    def _split(self, members: list[Any]) -> tuple[list[Any], list[Any]]:
        taken, left = members[::2], members[1::2]
        self.sent.update(json.dumps(member, sort_keys=True) for member in taken)
        return taken, left

    def PutRecords(self, body: Document) -> Any:
        taken, left = self._split(body["Records"])
        error = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for shard"}

        def answer(said: Document) -> tuple[int, Document]:
            both = [one for pair in zip(said["Records"], [error] * len(taken), strict=True) for one in pair]
            return 200, {"FailedRecordCount": len(left), "Records": both[: len(taken) + len(left)]}

        return {**body, "Records": taken}, answer

    def BatchWriteItem(self, body: Document) -> Any:
        [(table, members)] = body["RequestItems"].items()
        taken, left = self._split(members)
        return {"RequestItems": {table: taken}}, lambda _: (200, {"UnprocessedItems": {table: left} if left else {}})

    def SendMessageBatch(self, body: Document) -> Any:
        taken, left = self._split(body["Entries"])
        failed = [
            {"Id": entry["Id"], "SenderFault": False, "Code": "InternalError", "Message": "busy"} for entry in left
        ]
        return {**body, "Entries": taken}, lambda said: (200, {**said, "Failed": failed})

    def WriteRecords(self, body: Document) -> Any:
        """Timestream takes the good ones and names the bad ones: here, those at odd places."""
        taken, left = self._split(body["Records"])
        rejected = [
            {"RecordIndex": 2 * place + 1, "Reason": "older than the memory store"} for place in range(len(left))
        ]
        refusal = {"__type": "RejectedRecordsException", "message": "some records", "RejectedRecords": rejected}
        return {**body, "Records": taken}, lambda said: (400, refusal) if left else (200, said)


@pytest.mark.parametrize("make", [test_aws.kinesis, test_aws.dynamodb, test_aws.sqs], ids=lambda make: make.__name__)
async def test_what_is_handed_back_is_sent_again_and_nothing_else(moto: Moto, make: Callable[[Moto], Any]) -> None:
    place, halves = make(moto), Halves()
    with between(moto, halves) as endpoint:
        there = msgspec.structs.replace(place.resource, endpoint_url=endpoint)
        assert await write(there, place.action, *test_aws.rows(64)) == []
    assert test_aws.ordered(place.read()) == test_aws.rows(64)
    if make is not test_aws.sqs:  # whose members carry their place in the request
        assert len(halves.sent) == 64
        assert set(halves.sent.values()) == {1}


async def test_records_that_timestream_names_are_buried_and_the_others_are_in(moto: Moto) -> None:
    place = test_aws.timestream(moto)
    with between(moto, Halves()) as endpoint:
        there = msgspec.structs.replace(place.resource, endpoint_url=endpoint)
        buried = await write(there, place.action, *test_aws.rows(60))
    assert [row["n"] for row, _ in buried] == list(range(1, 60, 2))
    assert {error for _, error in buried} == {"older than the memory store"}
    assert [row["n"] for row in test_aws.ordered(place.read())] == list(range(0, 60, 2))


async def test_a_stream_that_stays_throttled_is_trouble_that_says_so(moto: Moto) -> None:
    place = test_aws.kinesis(moto)

    class Never(Halves):
        def _split(self, members: list[Any]) -> tuple[list[Any], list[Any]]:
            return members[:1], members[1:]

        def PutRecords(self, body: Document) -> Any:
            sent, answer = super().PutRecords(body)
            return sent, answer if len(body["Records"]) < 3 else lambda said: (200, self._mostly(said, body))

        def _mostly(self, said: Document, body: Document) -> Document:
            error = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"}
            return {"FailedRecordCount": 1, "Records": [*said["Records"], *[error] * (len(body["Records"]) - 1)]}

    with between(moto, Never()) as endpoint:
        there = msgspec.structs.replace(place.resource, endpoint_url=endpoint)
        async with way(there, place.action) as one:
            one.add(*test_aws.rows(20))
            await one.until(lambda: one.batcher.trouble is not None, "it is throttled")
            trouble = one.batcher.trouble
            assert trouble is not None
            assert (trouble.hop, "Provisioned" in trouble.cause) == ("database", True)
            await one.until(lambda: one.done > 0, "what was taken counts")
            await one.drained()
    assert test_aws.ordered(place.read()) == test_aws.rows(20)


@pytest.mark.parametrize("make", test_aws.KINDS, ids=lambda make: make.__name__)
async def test_keys_that_are_not_taken(make: Callable[[Moto], Any]) -> None:
    with Moto() as strict:
        place = make(strict)
        iam = strict.client("iam")
        iam.create_user(UserName="app")
        key = iam.create_access_key(UserName="app")["AccessKey"]
        strict.authenticate()
        known = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

        def told(**changes: str) -> Aws:
            changed: Aws = msgspec.structs.replace(place.resource, **(known | changes))
            return changed

        assert (await failing(told(aws_secret_access_key="wrong"))).hop == "login"
        assert (await failing(told(aws_access_key_id="AKIAWRONG"))).hop == "login"
        denied = await failing(told(), place.action)  # a user without any right
        assert (denied.hop, "may not" in denied.message) == ("statement", True)
        assert (await failing(told(aws_access_key_id="", aws_secret_access_key=""))).hop == "login"
        assert (await failing(told(aws_access_key_id="", profile="absent"))).hop == "login"


async def test_tls_with_a_client_certificate(moto: Moto) -> None:
    authority = Authority()
    client = authority.sign("device")
    keys: dict[str, Any] = {"cert": client.cert, "key": client.key}
    place = test_aws.sqs(moto)
    with Front(moto.port, authority, "localhost") as front:

        def secured(host: str = "localhost", **ssl: Any) -> Aws:
            url = f"https://{host}:{front.port}"
            changed: Aws = msgspec.structs.replace(place.resource, endpoint_url=url, ssl=Ssl(**ssl))
            return changed

        known = {"cacert": authority.cert}
        await probe(secured(**known, **keys), [place.action])
        assert await write(secured(**known, **keys), place.action, *test_aws.rows(5)) == []
        assert test_aws.ordered(place.read()) == test_aws.rows(5)
        assert (await failing(secured("127.0.0.1", **known, **keys))).hop == "tls"
        assert (await failing(secured(cacert=Authority("b").cert, **keys))).hop == "tls"
        assert (await failing(secured(**known, **keys, server_name="localhost"))).hop == "tls"
        nobody = await failing(secured(**known))
        assert (nobody.hop, "no answer" in nobody.cause) in (("tls", False), ("tcp", False))


async def test_an_object_is_replaced_by_its_own_batch_alone(moto: Moto) -> None:
    """The first attempt is stored, but its answer is lost: the second has the same key, and the next batch another."""
    place = test_aws.s3(moto)
    assert isinstance(place.action, S3Object)

    class Deaf(Client):
        async def call(self, operation: str, what: str, **parameters: Any) -> Document:
            answer = await super().call(operation, what, **parameters)
            if not heard:
                raise Unavailable("tcp", "the answer was lost")
            return answer

    heard: list[bool] = []
    writer = S3Writer(Deaf(place.resource), place.action)
    with pytest.raises(Unavailable):
        await writer.write(test_aws.rows(3))
    heard.append(True)
    for _ in range(3):  # the same rows come twice more, as other messages
        await writer.write(test_aws.rows(3))
    await writer._client.close()
    assert sorted(row["n"] for row in place.read()) == sorted([0, 1, 2] * 3)


def test_keys_of_objects() -> None:
    for wrong in ("objects/${date}", "${id}/${device}", "${id}-${.}"):
        with pytest.raises(TemplateError):
            key_template(wrong)
    S3Object(id="a", resource="r", bucket="b").paths()


def test_requests_are_never_larger_than_allowed() -> None:
    entries = [Entry((n,), n, size) for n, size in enumerate([3, 3, 3, 20, 1, 1, 1, 1, 1])]
    made = [[entry.body for entry in request] for request in chunks(entries, Limits(4, 8))]
    assert made == [[0, 1], [2], [3], [4, 5, 6, 7], [8]]


def test_the_region_comes_from_the_endpoint() -> None:
    assert S3(id="s", endpoint_url="https://s3.eu-central-1.amazonaws.com").region_name == "eu-central-1"
    assert S3(id="s", endpoint_url="https://s3.us-gov-west-1.amazonaws.com").region_name == "us-gov-west-1"
    assert S3(id="s", endpoint_url="http://127.0.0.1:9000").region_name == "us-east-1"
    assert S3(id="s", endpoint_url="http://127.0.0.1:9000", region="x").region_name == "x"


@pytest.mark.parametrize("value", [10**38 + 1, 10**126, 10**400, 1e-131, 1e300, float("inf")])
def test_a_number_that_dynamodb_does_not_keep_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no number that DynamoDB keeps"):
        attribute(value)


@pytest.mark.parametrize("value", [2**64, -(10**125), 10**37 + 1, 1e-130, 0.1, 0, -0.0])
def test_a_number_that_dynamodb_keeps_has_all_its_digits(value: float) -> None:
    assert attribute(value) == {"N": repr(value)}
