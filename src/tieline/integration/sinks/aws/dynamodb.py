"""Amazon DynamoDB: each output of a rule is an item, its fields the attributes, up to 25 in a request."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final

from tieline.integration.rules.compile.template import Path
from tieline.integration.sinks.aws.batches import Answer, Delivery, Entry, Limits
from tieline.integration.sinks.aws.resource import Aws, AwsSink, Client
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Action, Kind, label

#: What DynamoDB keeps of a number, and the exponents that it may have:
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
DIGITS: Final = 38
LEAST, MOST = -130, 125
LIMITS: Final = Limits(25, 16 << 20)  # BatchWriteItem (DynamoDB API reference)


class DynamoDB(Aws, frozen=True, kw_only=True, tag="dynamodb"):
    """Tables of Amazon DynamoDB."""

    SERVICE: ClassVar[str] = "dynamodb"


class DynamoItem(Action, frozen=True, kw_only=True, tag="dynamodb"):
    """Puts each output of the rule as an item with its fields as attributes. An item of the same key is replaced, so
    that a row that is written twice is there once; of rows with the same key in one batch the last counts.
    """

    table: str
    hash_key: Annotated[str, label("Hash key: the field that is the partition key")]
    range_key: Annotated[str, label("Range key: the field that is the sort key")] = ""

    def paths(self) -> tuple[Path, ...]:
        return tuple((name,) for name in self.keys)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the key's attributes."""
        return (self.hash_key, self.range_key) if self.range_key else (self.hash_key,)


class DynamoWriter:
    """One action's table."""

    def __init__(self, client: Client, action: DynamoItem) -> None:
        self._client = client
        self._action = action
        self._what = f"the table {action.table}"

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Put an item for each output."""
        items: dict[Any, tuple[list[int], Any, int]] = {}
        refused = {}
        for place, output in enumerate(outputs):
            try:
                item = {name: attribute(value) for name, value in output.items()}
            except ValueError as error:
                refused[place] = str(error)
                continue
            key = tuple(_identity(item.get(name)) for name in self._action.keys)
            places = [*items[key][0], place] if key in items else [place]
            items[key] = places, {"PutRequest": {"Item": item}}, len(repr(item))
        entries = [Entry(tuple(places), body, size) for places, body, size in items.values()]
        await Delivery(self._put, LIMITS).write(entries, refused)

    async def _put(self, requests: list[Any]) -> Answer:
        table = self._action.table
        answer = await self._client.call("batch_write_item", self._what, RequestItems={table: requests})
        left = answer.get("UnprocessedItems", {}).get(table, [])
        try:
            again = [requests.index(request) for request in left]
        except ValueError:  # not as we wrote it: an item that is put once more stays the same
            again = list(range(len(requests)))
        return Answer(dict.fromkeys(again, "UnprocessedItems"))

    async def check(self) -> None:
        found = (await self._client.call("describe_table", self._what, TableName=self._action.table))["Table"]
        if (status := found.get("TableStatus", "ACTIVE")) not in ("ACTIVE", "UPDATING"):
            raise Unavailable("statement", f"{self._what} is {status}", "wait until it is active", f"status {status}")
        keys = tuple(key["AttributeName"] for key in sorted(found["KeySchema"], key=lambda key: str(key["KeyType"])))
        if keys != self._action.keys:
            hint = "name the table's own key attributes"
            raise Unavailable("statement", f"the key of {self._what} is {', '.join(keys)}", hint, f"KeySchema {keys}")


def _identity(key: dict[str, Any] | None) -> Any:
    """What makes two values of a key the same to DynamoDB: their type, and of numbers the value."""
    kind, value = next(iter(key.items())) if key else ("", "")
    if kind == "N":
        return kind, Decimal(value)
    return kind, value if isinstance(value, str | bytes) else repr(value)


def attribute(value: Any) -> dict[str, Any]:
    """A value as DynamoDB's JSON has it; raises ValueError for a number that it does not know."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": _number(value)}
    if isinstance(value, dict):
        return {"M": {str(name): attribute(inner) for name, inner in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [attribute(inner) for inner in value]}
    return {"B": value} if isinstance(value, bytes) else {"S": str(value)}


def _number(value: int | float) -> str:
    """A number in the digits that DynamoDB keeps exactly; raises ValueError for one that it does not."""
    written = repr(value)
    number = Decimal(written)
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    if not number.is_finite() or len(digits) > DIGITS or (number and not LEAST <= number.adjusted() <= MOST):
        shown = written if len(written) <= 40 else f"a number of {len(written)} digits"
        kept = f"at most {DIGITS} digits, from 1E{LEAST} to 9.99E{MOST}"
        raise ValueError(f"{shown} is no number that DynamoDB keeps, which has {kept}")
    return written


def _open(resource: DynamoDB) -> AwsSink:
    return AwsSink(resource, {DynamoItem: DynamoWriter}, ("list_tables", {"Limit": 1}))


KIND: Final = Kind(
    label="Amazon DynamoDB",
    resource=DynamoDB,
    actions=(DynamoItem,),
    open=_open,
    test="signs a request, and compares the key of each action's table",
    tried="moto's server, which is no AWS",
)
