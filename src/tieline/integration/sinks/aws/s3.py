"""Amazon S3: each batch is an object with one line for each output of a rule."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from tieline.integration.rules.compile.template import Path, Text, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.aws.resource import Aws, AwsSink, Client
from tieline.integration.sinks.base.failures import Rejected
from tieline.integration.sinks.base.kind import Action, Kind, label
from tieline.integration.sinks.base.outcome import rendered

#: What a key may be made of; the times are those of the first attempt, in UTC.
KEY_FIELDS: Final = ("action", "date", "datetime", "id")


class S3(Aws, frozen=True, kw_only=True, tag="s3"):
    """Buckets of Amazon S3, or of what speaks its protocol."""

    SERVICE: ClassVar[str] = "s3"


class S3Object(Action, frozen=True, kw_only=True, tag="s3"):
    """Stores each batch as one object of lines. Its key has `${id}`, which is the batch's own: a batch that is tried
    again replaces its own object and no other. Messages wait unacknowledged at the broker until their batch is stored;
    after a crash of the agent they come again, in another batch with another key.
    """

    bucket: str
    key: Annotated[str, label("Key template: ${action}, ${date}, ${datetime}, ${id}")] = (
        "${action}/${date}/${datetime}-${id}.jsonl"
    )
    content: Annotated[str, label("Line template", kind="lines")] = "${.}"
    content_type: str = "application/x-ndjson"
    batch_size: Annotated[int, label("Rows in one object")] = 10_000
    batch_bytes: Annotated[int, label("Payload in one object (bytes)")] = 8 << 20
    batch_time: Annotated[float, label("Wait for more rows (seconds)")] = 10.0

    def paths(self) -> tuple[Path, ...]:
        key_template(self.key)
        return text_template(self.content).paths


def key_template(template: str) -> Text:
    """The template of a key; raises TemplateError where one object could replace another."""
    made = text_template(template)
    for path in made.paths:
        if len(path) != 1 or path[0] not in KEY_FIELDS:
            name = ".".join(path)
            raise TemplateError(f"a key is made of {', '.join(KEY_FIELDS)}, and not of {name or 'rows'!r}", name)
    if ("id",) not in made.paths:
        raise TemplateError("the key needs ${id}: without it one object would replace another")
    return made


@dataclass(frozen=True)
class Attempt:
    """An object that may have been stored, or not."""

    digest: bytes
    key: str


class S3Writer:
    """One action's objects."""

    def __init__(
        self,
        client: Client,
        action: S3Object,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._client = client
        self._action = action
        self._what = f"the bucket {action.bucket}"
        self._key = key_template(action.key)
        self._line = text_template(action.content)
        self._now = now
        self._new_id = new_id
        self._attempt = Attempt(b"", "")

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Store the outputs as one object, under the same key as long as the same rows are tried."""
        body = self._body(outputs)
        digest = hashlib.sha256(body).digest()
        if self._attempt.digest != digest:
            self._attempt = Attempt(digest, self._key.render(self._fields()))
        action = self._action
        await self._client.call(
            "put_object",
            self._what,
            Bucket=action.bucket,
            Key=self._attempt.key,
            Body=body,
            ContentType=action.content_type,
        )
        self._attempt = Attempt(b"", "")

    def _body(self, outputs: Sequence[dict[str, Any]]) -> bytes:
        lines, refused = rendered(outputs, self._line.data)
        broken = [place for place, line in lines if b"\n" in line]
        refused |= dict.fromkeys(broken, "the line has a line break in it: select base64_encode() of what has it")
        if refused:
            raise Rejected("rows that are no line each", refused)
        return b"".join([line + b"\n" for _, line in lines])

    def _fields(self) -> dict[str, str]:
        now = self._now()
        return {
            "action": self._action.id,
            "date": now.date().isoformat(),
            "datetime": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "id": self._new_id(),
        }

    async def check(self) -> None:
        await self._client.call("list_objects_v2", self._what, Bucket=self._action.bucket, MaxKeys=0)


def _open(resource: S3) -> AwsSink:
    return AwsSink(resource, {S3Object: S3Writer}, ("list_buckets", {}))


KIND: Final = Kind(
    label="Amazon S3",
    resource=S3,
    actions=(S3Object,),
    open=_open,
    test="signs a request, and lists nothing of each action's bucket",
    tried="moto's server, which is no AWS",
)
