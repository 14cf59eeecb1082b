"""The target health state machine, check by check."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tieline.fabric.core import health
from tieline.fabric.core.records import Health, HealthCheck
from tieline.fabric.core.topology import Outcome

START = datetime(2026, 1, 1, tzinfo=UTC)
CHECK = HealthCheck(interval=10, healthy=3, unhealthy=2)
PASSED = Outcome(passed=True)
REFUSED = Outcome(passed=False, reason="Target.FailedHealthChecks", cause="connection refused")
UNKNOWN = Outcome(passed=False, reason=health.INTERNAL, cause="no such namespace")
MARKS = {"+": PASSED, "-": REFUSED, "?": UNKNOWN}


def follow(outcomes: str, every: float = 10.0) -> list[str]:
    """The states after each check: + passed, - failed, ? could not be made."""
    state, run, now, seen = Health(id="t", owner="1", group="g", since=START), health.Run(), START, []
    for mark in outcomes:
        now += timedelta(seconds=every)
        state, run = health.judge(state, run, MARKS[mark], CHECK, now)
        seen.append(state.state)
    return seen


def test_the_first_passed_check_puts_a_target_into_service() -> None:
    assert follow("+") == ["healthy"]


def test_an_initial_target_fails_only_after_as_long_as_regular_checks_would_take() -> None:
    assert follow("----", every=3) == ["initial", "initial", "initial", "unhealthy"]


def test_a_healthy_target_leaves_after_failures_in_a_row() -> None:
    assert follow("+-+--") == ["healthy", "healthy", "healthy", "healthy", "unhealthy"]


def test_an_unhealthy_target_returns_after_successes_in_a_row() -> None:
    assert follow("+--++-+++")[-4:] == ["unhealthy", "unhealthy", "unhealthy", "healthy"]


def test_checks_that_cannot_be_made_are_not_the_targets_fault() -> None:
    assert follow("+??+") == ["healthy", "healthy", "unavailable", "healthy"]
    assert follow("+--???")[-2:] == ["unavailable", "unavailable"]
    assert follow("+??--")[-1] == "unhealthy"


def test_the_cause_of_a_failure_is_kept() -> None:
    state, _ = health.judge(
        Health(id="t", owner="1", group="g", state="healthy", reason="", since=START),
        health.Run(False, 1),
        REFUSED,
        CHECK,
        START,
    )
    assert (state.state, state.reason, state.cause) == ("unhealthy", "Target.FailedHealthChecks", "connection refused")


@given(st.text("+-", max_size=40))
def test_a_target_is_healthy_only_after_a_check_that_passed(outcomes: str) -> None:
    for n, state in enumerate(follow(outcomes)):
        if state == "healthy":
            assert "+" in outcomes[: n + 1]
        if outcomes[: n + 1].endswith("--") and n > 1:
            assert state == "unhealthy"
