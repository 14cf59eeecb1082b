"""Amazon SQS: each output of a rule is a message, up to ten in a request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final

from tieline.integration.rules.compile.template import Path, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.aws.batches import Answer, Delivery, Entry, Limits
from tieline.integration.sinks.aws.resource import Aws, AwsSink, Client
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Action, Kind, label
from tieline.integration.sinks.base.outcome import rendered

#: What a message body cannot have (SQS, SendMessage: the characters of XML 1.0).
_NO_CHARACTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
FIFO: Final = ".fifo"  # how the names of such queues end, and of no others (SQS, CreateQueue)
LIMITS: Final = Limits(10, 256 << 10)  # SendMessageBatch; a queue may allow up to 1 MiB, which one message has alone


class Sqs(Aws, frozen=True, kw_only=True, tag="sqs"):
    """Queues of Amazon SQS."""

    SERVICE: ClassVar[str] = "sqs"


class SqsMessage(Action, frozen=True, kw_only=True, tag="sqs"):
    """Sends each output of the rule to a queue. A FIFO queue needs a message group, in which order is kept; with a
    deduplication id it drops what came within five minutes.
    """

    queue_name: str
    payload_template: Annotated[str, label("Payload template", kind="lines")] = "${.}"
    message_group_id: Annotated[str, label("Message group template (FIFO)")] = ""
    message_deduplication_id: Annotated[str, label("Deduplication id template (FIFO)")] = ""

    def paths(self) -> tuple[Path, ...]:
        if self.queue_name.endswith(FIFO) and not self.message_group_id:
            raise TemplateError(f"{self.queue_name} is a FIFO queue, which takes no message without a message_group_id")
        texts = (self.payload_template, self.message_group_id, self.message_deduplication_id)
        return tuple(path for text in texts for path in text_template(text).paths)


class SqsWriter:
    """One action's queue."""

    def __init__(self, client: Client, action: SqsMessage) -> None:
        self._client = client
        self._queue = action.queue_name
        self._what = f"the queue {action.queue_name}"
        self._url = ""
        self._payload = text_template(action.payload_template)
        extra = {"MessageGroupId": action.message_group_id, "MessageDeduplicationId": action.message_deduplication_id}
        self._extra = {name: text_template(template) for name, template in extra.items() if template}

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Send a message for each output."""
        await self._find()
        bodies, refused = rendered(outputs, self._body)
        entries = [Entry((place,), body, len(body["MessageBody"].encode())) for place, body in bodies]
        await Delivery(self._send, LIMITS, ordered=bool(self._extra)).write(entries, refused)

    def _body(self, output: dict[str, Any]) -> dict[str, str]:
        text = self._payload.render(output)
        if strange := _NO_CHARACTER.search(text):
            raise ValueError(f"{strange[0]!r} is no character that SQS takes: select base64_encode() of it")
        return {"MessageBody": text, **{name: template.render(output) for name, template in self._extra.items()}}

    async def _send(self, bodies: list[Any]) -> Answer:
        entries = [{"Id": str(index), **body} for index, body in enumerate(bodies)]
        try:
            answer = await self._client.call("send_message_batch", self._what, QueueUrl=self._url, Entries=entries)
        except Unavailable:
            self._url = ""  # it may be another one by now
            raise
        failed = {int(entry["Id"]): entry for entry in answer.get("Failed", ())}
        reasons = {index: f"{entry['Code']}: {entry.get('Message', '')}" for index, entry in failed.items()}
        refused = {index: reasons[index] for index, entry in failed.items() if entry["SenderFault"]}
        return Answer({index: reason for index, reason in reasons.items() if index not in refused}, refused)

    async def check(self) -> None:
        self._url = ""
        await self._find()
        asked = {"QueueUrl": self._url, "AttributeNames": ["All"]}
        found = (await self._client.call("get_queue_attributes", self._what, **asked)).get("Attributes", {})
        told = found.get("ContentBasedDeduplication") == "true" or "MessageDeduplicationId" in self._extra
        if self._queue.endswith(FIFO) and not told:
            hint = "give a message_deduplication_id, or turn content-based deduplication on"
            said = "ContentBasedDeduplication is off"
            raise Unavailable("statement", f"{self._what} needs a deduplication id", hint, said)

    async def _find(self) -> None:
        if not self._url:
            answer = await self._client.call("get_queue_url", self._what, QueueName=self._queue)
            self._url = answer["QueueUrl"]


def _open(resource: Sqs) -> AwsSink:
    return AwsSink(resource, {SqsMessage: SqsWriter}, ("list_queues", {"MaxResults": 1}))


KIND: Final = Kind(
    label="Amazon SQS",
    resource=Sqs,
    actions=(SqsMessage,),
    open=_open,
    test="signs a request, and looks up each action's queue",
    tried="moto's server, which is no AWS",
)
