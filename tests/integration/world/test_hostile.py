"""One message, however it is made, ends no action and delays no other message: through a real broker and database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import pytest

from integration.world import flow
from servers import Mosquitto, PostgreSQL
from tieline.integration.config import shapes as config
from tieline.integration.delivery.dead_letters import DeadLetters

pytestmark = pytest.mark.world

DEEP = b'{"device": "deep", "temp": 30, "d": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}"


@pytest.mark.parametrize("buffer_mode", ["broker", "disk"])
@pytest.mark.parametrize("window", [1, 100], ids=["ordered", ""])
async def test_deep_payloads_and_hundreds_of_refused_rows_end_no_action(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path, window: int, buffer_mode: Literal["broker", "disk"]
) -> None:
    target = flow.table(postgresql, "device text, temp int check (temp < 100), d text check (length(d) < 100)")
    insert = f"insert into {target}(device, temp, d) values (${{device}}, ${{temp}}, ${{d}})"
    action = config.Sql(
        id="write", resource="pg", sql=insert, inflight_window=window, buffer_mode=buffer_mode, max_buffer_bytes=1 << 20
    )
    sql = 'SELECT payload.device as device, payload.temp as temp, payload.d as d FROM "sensors/#"'
    rule = config.Rule(id="r", sql=sql, actions=(action,))
    what = config.Config(version=1, resources=(flow.resource(postgresql),), rules=(rule,))
    good = [("sensors/1", {"device": f"d{n}", "temp": n % 50}) for n in range(700)]
    bad = [("sensors/1", {"device": f"bad{n}", "temp": 500}) for n in range(330)]
    mixed: list[tuple[str, Any]] = [message for pair in zip(good, bad, strict=False) for message in pair] + good[330:]
    mixed[5:5] = [("sensors/1", DEEP)]
    async with flow.running(flow.broker(mosquitto), what, tmp_path) as pipeline:
        await asyncio.to_thread(flow.publish, mosquitto, mixed)
        await flow.eventually(lambda: len(flow.devices(postgresql, target)) == 700, "every good row")
        await flow.eventually(lambda: len(pipeline.dead_letters) == 331, "every letter")
        assert pipeline.status()["resources"]["pg"]["status"] == "connected"
    assert len(DeadLetters(tmp_path)) == 331


@pytest.mark.parametrize("window", [1, 100], ids=["ordered", ""])
async def test_an_action_whose_rows_are_all_refused_holds_up_no_other_on_its_resource(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path, window: int
) -> None:
    """More rows than may be in hand: they are kept on disk, and written in their order once the table takes them."""
    closed = flow.table(postgresql, "number bigserial, device text, temp int check (temp < 0)")
    opened = flow.table(postgresql, "device text, temp int")
    insert = "insert into {}(device, temp) values (${{device}}, ${{temp}})"
    rules = tuple(
        config.Rule(
            id=id,
            sql=f'SELECT payload.device as device, payload.temp as temp FROM "{id}/#"',
            actions=(
                config.Sql(id="a", resource="pg", sql=insert.format(table), batch_size=50, inflight_window=window),
            ),
        )
        for id, table in (("closed", closed), ("opened", opened))
    )
    what = config.Config(version=1, resources=(flow.resource(postgresql),), rules=rules)
    where = flow.broker(mosquitto, receive_maximum=1000)
    bad = [(f"closed/{n % 7}", {"device": f"d{n:05}", "temp": n}) for n in range(4000)]
    good = [("opened/1", {"device": f"g{n:05}", "temp": n}) for n in range(300)]
    async with flow.running(where, what, tmp_path) as pipeline:
        await asyncio.to_thread(flow.publish, mosquitto, bad)
        await asyncio.to_thread(flow.publish, mosquitto, good)
        await flow.eventually(lambda: len(flow.devices(postgresql, opened)) == 300, "the good rows")
        assert flow.devices(postgresql, closed) == []

        def said() -> str:
            return str(pipeline.status()["resources"]["pg"].get("reason"))

        await flow.eventually(lambda: "nothing is taken" in said(), "the reason")
    async with flow.running(where, what, tmp_path) as pipeline:  # also after a restart
        postgresql.execute(f"alter table {closed} drop constraint {closed}_temp_check")
        done = lambda: len(flow.devices(postgresql, closed)) + len(pipeline.dead_letters) >= 4000  # noqa: E731
        await flow.eventually(done, "every row once the table takes them")
        await flow.eventually(lambda: not any((tmp_path / "buffer").rglob("*.rows")), "nothing on disk")
        assert flow.devices(postgresql, closed) == [payload["device"] for _, payload in bad]
        assert flow.devices(postgresql, opened) == [payload["device"] for _, payload in good]
        await asyncio.to_thread(flow.publish, mosquitto, [("closed/1", {"device": "last", "temp": 1})])
        await flow.eventually(lambda: "last" in flow.devices(postgresql, closed), "a row that passes by the disk")
