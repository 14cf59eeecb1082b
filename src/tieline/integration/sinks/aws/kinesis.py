"""Amazon Kinesis Data Streams: each output of a rule is a record, up to 500 in a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final

from tieline.integration.rules.compile.template import Path, text_template
from tieline.integration.sinks.aws.batches import Answer, Delivery, Entry, Limits
from tieline.integration.sinks.aws.resource import Aws, AwsSink, Client
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Action, Kind, label
from tieline.integration.sinks.base.outcome import rendered

LIMITS: Final = Limits(500, 5 << 20)  # PutRecords' limits (Kinesis API reference)
KEY_CHARACTERS: Final = 256


class Kinesis(Aws, frozen=True, kw_only=True, tag="kinesis"):
    """Streams of Amazon Kinesis."""

    SERVICE: ClassVar[str] = "kinesis"


class KinesisRecord(Action, frozen=True, kw_only=True, tag="kinesis"):
    """Puts each output of the rule into a stream, in order for each partition key unless the stream is throttled."""

    stream_name: str
    partition_key: Annotated[str, label("Partition key template")]
    payload_template: Annotated[str, label("Payload template", kind="lines")] = "${.}"

    def paths(self) -> tuple[Path, ...]:
        return (*text_template(self.partition_key).paths, *text_template(self.payload_template).paths)


class KinesisWriter:
    """One action's stream."""

    def __init__(self, client: Client, action: KinesisRecord) -> None:
        self._client = client
        self._stream = action.stream_name
        self._what = f"the stream {action.stream_name}"
        self._key = text_template(action.partition_key)
        self._payload = text_template(action.payload_template)

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Put a record for each output."""
        records, refused = rendered(outputs, self._record)
        entries = [Entry((place,), record, _size(record)) for place, record in records]
        await Delivery(self._put, LIMITS, ordered=True).write(entries, refused)

    def _record(self, output: dict[str, Any]) -> dict[str, Any]:
        key = self._key.render(output)
        if not 0 < len(key) <= KEY_CHARACTERS:
            raise ValueError(f"a partition key of {len(key)} characters: it has 1 to {KEY_CHARACTERS}")
        return {"Data": self._payload.data(output), "PartitionKey": key}

    async def _put(self, records: list[Any]) -> Answer:
        answer = await self._client.call("put_records", self._what, StreamName=self._stream, Records=records)
        results = enumerate(answer["Records"])
        return Answer({index: _reason(result) for index, result in results if result.get("ErrorCode")})

    async def check(self) -> None:
        found = await self._client.call("describe_stream_summary", self._what, StreamName=self._stream)
        status = found["StreamDescriptionSummary"]["StreamStatus"]
        if status not in ("ACTIVE", "UPDATING"):
            raise Unavailable("statement", f"{self._what} is {status}", "wait until it is active", f"status {status}")


def _size(record: dict[str, Any]) -> int:
    return len(record["Data"]) + len(record["PartitionKey"].encode())


def _reason(result: dict[str, Any]) -> str:
    return f"{result['ErrorCode']}: {result.get('ErrorMessage', '')}"


def _open(resource: Kinesis) -> AwsSink:
    return AwsSink(resource, {KinesisRecord: KinesisWriter}, ("list_streams", {"Limit": 1}))


KIND: Final = Kind(
    label="Amazon Kinesis",
    resource=Kinesis,
    actions=(KinesisRecord,),
    open=_open,
    test="signs a request, and asks for the state of each action's stream",
    tried="moto's server, which is no AWS",
)
