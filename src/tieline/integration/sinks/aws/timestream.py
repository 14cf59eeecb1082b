"""Amazon Timestream for LiveAnalytics: each output of a rule is a record of several measures, 100 in a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final

from tieline.integration.rules.compile.template import Path, exact_text, text_template
from tieline.integration.sinks.aws.batches import Answer, Delivery, Entry, Limits
from tieline.integration.sinks.aws.resource import Aws, AwsSink, Client
from tieline.integration.sinks.base.failures import Rejected
from tieline.integration.sinks.base.kind import Action, Kind, label
from tieline.integration.sinks.base.outcome import rendered

LIMITS: Final = Limits(100, 1 << 20)  # WriteRecords: 100 records (Timestream API reference)
_TYPES: Final = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE"}  # everything else is VARCHAR


class Timestream(Aws, frozen=True, kw_only=True, tag="timestream"):
    """A database of Amazon Timestream for LiveAnalytics."""

    SERVICE: ClassVar[str] = "timestream-write"

    database: str


class TimestreamRecord(Action, frozen=True, kw_only=True, tag="timestream"):
    """Writes each output of the rule as a record: some fields are dimensions, and all others are measures."""

    table: str
    dimensions: Annotated[tuple[str, ...], label("Dimensions: names of fields")]
    measure_name: Annotated[str, label("Measure name template")] = "mqtt"
    time: Annotated[str, label("Time template (milliseconds)")] = "${timestamp}"

    def paths(self) -> tuple[Path, ...]:
        texts = (*text_template(self.measure_name).paths, *text_template(self.time).paths)
        return (*((name,) for name in self.dimensions), *texts)


class TimestreamWriter:
    """One action's table."""

    def __init__(self, client: Client, action: TimestreamRecord) -> None:
        resource = client.resource
        assert isinstance(resource, Timestream)
        self._client = client
        self._where = {"DatabaseName": resource.database, "TableName": action.table}
        self._what = f"the table {action.table} of the database {resource.database}"
        self._dimensions = action.dimensions
        self._measure = text_template(action.measure_name)
        self._time = text_template(action.time)
        taken = {path[0] for path in self._time.paths if path}
        self._not_measured = {*action.dimensions, *taken}

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Write a record for each output."""
        records, refused = rendered(outputs, self._record)
        entries = [Entry((place,), record, len(str(record))) for place, record in records]
        await Delivery(self._send, LIMITS).write(entries, refused)

    def _record(self, output: dict[str, Any]) -> dict[str, Any]:
        time = self._time.render(output)
        if not (time.isascii() and time.isdecimal()):
            raise ValueError(f"{time!r} is no time in milliseconds")
        measures = [
            {"Name": name, "Value": _text(value), "Type": _TYPES.get(type(value), "VARCHAR")}
            for name, value in output.items()
            if value is not None and name not in self._not_measured
        ]
        if not measures:
            raise ValueError("no field is left to be a measure")
        return {
            "Dimensions": [{"Name": name, "Value": exact_text(output.get(name))} for name in self._dimensions],
            "MeasureName": self._measure.render(output),
            "MeasureValueType": "MULTI",
            "MeasureValues": measures,
            "Time": time,
            "TimeUnit": "MILLISECONDS",
        }

    async def _send(self, records: list[Any]) -> Answer:
        try:
            await self._client.call("write_records", self._what, **self._where, Records=records)
        except Rejected as error:
            if not error.rows:
                raise
            return Answer(refused=error.rows)
        return Answer()

    async def check(self) -> None:
        await self._client.call("describe_table", self._what, **self._where)


def _text(value: Any) -> str:
    if type(value) is int and not -(1 << 63) <= value < 1 << 63:
        raise ValueError("a whole number of more than 64 bits is no BIGINT: select str() of it")
    return repr(value) if isinstance(value, float) else exact_text(value)


def _open(resource: Timestream) -> AwsSink:
    return AwsSink(resource, {TimestreamRecord: TimestreamWriter}, ("list_databases", {"MaxResults": 1}))


KIND: Final = Kind(
    label="Amazon Timestream",
    resource=Timestream,
    actions=(TimestreamRecord,),
    open=_open,
    test="signs a request, and looks up each action's table",
    tried="moto's server, which is no AWS",
)
