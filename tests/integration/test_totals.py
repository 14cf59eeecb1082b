"""What several processes say, as one."""

from __future__ import annotations

from tieline.integration.delivery.dead_letters import NO_LETTER, DeadLetter
from tieline.integration.worker import messages, totals


def test_metrics_are_added() -> None:
    one = {
        "rules": {"r": {"matched": 3, "rate": 1.5, "last_error": "old", "last_error_at": 1}},
        "actions": {"r": {"a": {"success": 2, "latency.p99": 9.0}}},
        "dead_letters": {"count": 1, "dropped": 0},
    }
    other = {
        "rules": {"r": {"matched": 4, "rate": 1.0, "last_error": "new", "last_error_at": 2}, "s": {"matched": 1}},
        "actions": {"r": {"a": {"success": 5, "latency.p99": 4.0, "dropped.x": 1}}},
        "dead_letters": {"count": 2, "dropped": 1},
    }
    assert totals.metrics([one, other], 7) == {
        "version": 7,
        "rules": {"r": {"matched": 7, "rate": 2.5, "last_error": "new", "last_error_at": 2}, "s": {"matched": 1}},
        "actions": {"r": {"a": {"success": 7, "latency.p99": 9.0, "dropped.x": 1}}},
        "dead_letters": {"count": 3, "dropped": 1},
    }


def test_what_a_process_had_in_hand_at_its_end_is_counted_by_who_gets_it() -> None:
    rates = {"rate": 3.0, "rate.max": 9.0, "rate.last5m": 2.0}
    action = {"received": 100, "success": 60, "failed": 5, "queuing": 25, "queuing_bytes": 999, "inflight": 10, **rates}
    at_its_end = {
        "rules": {"r": {"matched": 100, "passed": 100, **rates}},
        "actions": {"r": {"a": action}},
        "dead_letters": {"count": 5, "dropped": 1},
    }
    none = dict.fromkeys(rates, 0)
    assert totals.ended(at_its_end) == {
        "rules": {"r": {"matched": 100, "passed": 100, **none}},
        "actions": {
            "r": {
                "a": {
                    "received": 65,
                    "success": 60,
                    "failed": 5,
                    "queuing": 0,
                    "queuing_bytes": 0,
                    "inflight": 0,
                    **none,
                }
            }
        },
        "dead_letters": {"count": 0, "dropped": 1},
    }
    assert totals.ended({}) == {"rules": {}, "actions": {}, "dead_letters": {"count": 0}}


def test_the_worst_state_counts() -> None:
    well = {"resources": {"pg": {"status": "connected", "pending": 1}}, "rules": {"r": {"status": "running"}}}
    ill = {
        "resources": {"pg": {"status": "disconnected", "reason": "tcp", "pending": 2}},
        "rules": {"r": {"status": "waiting", "reason": "pg"}},
    }
    expected = {
        "version": 7,
        "resources": {"pg": {"status": "disconnected", "reason": "tcp", "pending": 3}},
        "rules": {"r": {"status": "waiting", "reason": "pg"}},
    }
    assert totals.status([well, ill], 7) == totals.status([ill, well], 7) == expected


def test_the_past_of_several_processes_is_added_interval_by_interval() -> None:
    one = [(0.1, 1, 1), (5.2, 3, 2), (10.1, 4, 2)]
    other = [(5.9, 10, 10)]
    assert totals.history([one, other]) == [(0.0, 1, 1), (5.0, 13, 12), (10.0, 14, 12)]
    assert totals.history([]) == totals.history([[]]) == []
    answers = [messages.Answer(id=0, past={"": [(0.1, 1)], "a": [(0.2, 5)]}), messages.Answer(id=0, past={"": []})]
    assert totals.answers(messages.Past(id=0, rule="r"), answers).past == {"": [(0.0, 1)], "a": [(0.0, 5)]}


def test_letters_of_several_processes_are_one_list() -> None:
    def told(*times: int) -> messages.Answer:
        letters = tuple(DeadLetter(id=f"l{n}", time=n, rule="r", error="", message={}) for n in times)
        return messages.Answer(id=0, letters=letters)

    asked = messages.Letters(id=0, after=(1, "l1"), limit=3)
    assert [one.time for one in totals.answers(asked, [told(1, 4, 5), told(2, 3)]).letters] == [2, 3, 4]
    answers = [messages.Answer(id=0, replayed={"a": NO_LETTER, "b": ""}), messages.Answer(id=0, replayed={"a": "no"})]
    replayed = totals.answers(messages.Replay(id=0, ids=("a", "b", "c")), answers).replayed
    assert replayed == {"a": "no", "b": "", "c": NO_LETTER}
