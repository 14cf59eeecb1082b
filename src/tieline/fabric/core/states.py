"""What may happen to an endpoint, as a table: the consumer's record and the provider's connection are one machine.

Rules, from the PrivateLink concepts page: a request waits for the provider where acceptance is required, and is
`pending` until packets can pass; a connection that the provider rejects keeps its record until the consumer deletes
it; only the consumer deletes. A pair that is not in the table is refused and changes nothing.
"""

from __future__ import annotations

from typing import Literal

Event = Literal["accept", "reject", "expire", "built", "broken", "modify", "delete", "gone"]

PENDING_ACCEPTANCE = "pendingAcceptance"
PENDING = "pending"
AVAILABLE = "available"
REJECTED = "rejected"
EXPIRED = "expired"
FAILED = "failed"
DELETING = "deleting"
DELETED = "deleted"

ENDPOINT: dict[str, dict[Event, str]] = {
    PENDING_ACCEPTANCE: {"accept": PENDING, "reject": REJECTED, "expire": EXPIRED, "delete": DELETING},
    PENDING: {"built": AVAILABLE, "broken": FAILED, "reject": REJECTED, "delete": DELETING, "modify": PENDING},
    AVAILABLE: {"reject": REJECTED, "broken": FAILED, "modify": PENDING, "delete": DELETING},
    REJECTED: {"accept": PENDING, "delete": DELETING},
    EXPIRED: {"delete": DELETING},
    FAILED: {"built": AVAILABLE, "reject": REJECTED, "delete": DELETING},
    DELETING: {"gone": DELETED, "delete": DELETING},
    DELETED: {},
}

CONSENTED = frozenset({PENDING, AVAILABLE})  # both sides agree: a wire should exist
OCCUPYING = frozenset({PENDING_ACCEPTANCE, PENDING, AVAILABLE})  # what keeps a service from being deleted


class NotPossible(Exception):
    """The event cannot happen in this state; nothing was changed."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"{event} is not possible in state {state}")
        self.state, self.event = state, event


def after(state: str, event: Event) -> str:
    """The state that follows; raises NotPossible for a pair that is not in the table."""
    try:
        return ENDPOINT[state][event]
    except KeyError:
        raise NotPossible(state, event) from None
