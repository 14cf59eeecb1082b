"""From reports to what a link carries: totals, rates, and what is too old."""

from __future__ import annotations

from typing import Any

from tieline.agent.protocol import Carried
from tieline.cloud.agents.agent_registry import carried
from tieline.cloud.agents.traffic import SECONDS, TrafficLog
from tieline.cloud.model.records import PrivateLink

HOST, NOW = "vpce-1.example", 1000.0


def link(name: str = "orders", address: str = HOST) -> PrivateLink:
    return PrivateLink(id=f"link-{name}", deployment="d", name=name, service_name="s", address=address, created="")


def found(log: TrafficLog, now: float = NOW, *links: PrivateLink) -> dict[str, Any]:
    (one,) = log.of(links or (link(),), "d", now - SECONDS, now)
    return one.model_dump()


def test_a_rate_is_what_came_between_the_last_reports_on_all_ports() -> None:
    log = TrafficLog()
    for n in range(4):
        ports = {f"{HOST}:5432": Carried(2, 1000 * n, 10 * n), f"{HOST}:6379": Carried(1, 500 * n, 0)}
        log.note("d", NOW - 6 + 2 * n, {**ports, "other:1": Carried(9, 9, 9)})
    told = found(log)
    assert (told["flows"], told["sent"], told["received"]) == (3, 4500, 30)
    assert (told["sent_per_second"], told["received_per_second"]) == (750.0, 5.0)
    assert [sample[0] for sample in told["samples"]] == [994, 996, 998, 1000]


def test_reports_within_a_second_are_one_sample() -> None:
    log = TrafficLog()
    for seconds in (0.0, 0.01, 0.9, 1.5):
        log.note("d", NOW + seconds, {f"{HOST}:5432": Carried(1, 100, 0)})
    assert [sample[0] for sample in found(log, NOW + 2)["samples"]] == [NOW, NOW + 1.5]


def test_an_agent_that_started_again_or_fell_silent_carries_nothing() -> None:
    log = TrafficLog()
    log.note("d", NOW - 2, {f"{HOST}:5432": Carried(2, 9_000_000, 0)})
    log.note("d", NOW, {f"{HOST}:5432": Carried(2, 100, 0)})
    assert found(log)["sent_per_second"] == 0.0
    assert found(log, NOW + 60)["flows"] == 0
    assert found(log, NOW + 2 * SECONDS)["samples"] == []


def test_a_link_without_an_address_or_of_another_name_has_none() -> None:
    log = TrafficLog()
    log.note("d", NOW, {f"{HOST}:5432": Carried(2, 100, 0)})
    assert found(log, NOW, link("new", ""))["sent"] == 0
    assert found(log, NOW, link("else", "vpce-2.example"))["sent"] == 0


def test_what_nobody_reports_is_forgotten() -> None:
    log = TrafficLog()
    log.note("gone", NOW, {})
    log.note("d", NOW + 2 * SECONDS, {})
    assert list(log._samples) == ["d"]


def test_samples_are_kept_as_long_as_retention_says() -> None:
    minutes = 20.0
    log = TrafficLog(lambda: 60 * minutes)
    for number in range(0, 1300, 100):
        log.note("d", NOW + number, {f"{HOST}:5432": Carried(1, number, 0)})
    (whole,) = log.of((link(),), "d", 0, NOW + 1200)
    assert [sample.time - NOW for sample in whole.samples] == list(range(0, 1300, 100))
    minutes = 5.0
    (less,) = log.of((link(),), "d", 0, NOW + 1200)
    assert [sample.time - NOW for sample in less.samples] == [900, 1000, 1100, 1200]


def test_several_agents_are_added() -> None:
    assert carried([{"a:1": Carried(1, 2, 3)}, {"a:1": Carried(1, 2, 3), "b:1": Carried(1)}]) == {
        "a:1": Carried(2, 4, 6),
        "b:1": Carried(1, 0, 0),
    }
