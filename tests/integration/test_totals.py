"""What several processes say, as one."""

from __future__ import annotations

from tieline.integration import totals


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
