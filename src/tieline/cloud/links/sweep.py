"""Notices endpoints that are no longer as written down: few questions to AWS, however many links there are.

Most endpoints are available and stay so. Twice a second the others are asked for, which is cheap; all of them seldom,
for an endpoint that is gone is in no answer. An account that is slow to answer holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from tieline.base.periodic import rounds
from tieline.cloud.aws.client import Aws, AwsError
from tieline.cloud.links.observe import endpoint_states
from tieline.cloud.model.records import PrivateLink

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5  # between two looks at the endpoints that are not available
WHOLE_SECONDS = 5.0  # between two looks at all of them
SHARE = 10  # and at least so many times as long as the last one took, which is load for AWS
AVAILABLE, DELETED = "available", "deleted"
#: As AWS spells them: its filter compares capitals.
OTHERS = ("pendingAcceptance", "pending", "deleting", "deleted", "rejected", "failed", "expired", "partial")

Accounts = Callable[[], Mapping[Aws, Sequence[PrivateLink]]]


class Sweep:
    """Calls `wake` with the id of each link whose endpoint changed; `accounts` gives the links with one, by account."""

    def __init__(self, accounts: Accounts, wake: Callable[[str], None]) -> None:
        self._accounts = accounts
        self._wake = wake
        self._whole: dict[Aws, float] = {}  # when the next look at all is due

    async def run(self) -> None:
        """For ever."""
        looking: dict[Aws, asyncio.Task[None]] = {}

        def look() -> None:
            for aws in self._accounts():
                if aws not in looking or looking[aws].done():
                    looking[aws] = asyncio.create_task(self._look(aws), name="sweep of an account")

        try:
            await rounds("sweep", look, LOOK_SECONDS)
        finally:
            for task in looking.values():
                task.cancel()

    async def _look(self, aws: Aws) -> None:
        began, before = time.monotonic(), {link.id: link.endpoint_state for link in self._accounts().get(aws, ())}
        whole = began >= self._whole.get(aws, 0.0)
        try:
            present = await endpoint_states(aws, () if whole else OTHERS)
        except AwsError as error:
            log.warning("looking at the endpoints: %s", error)
            return
        if whole:
            took = time.monotonic() - began
            self._whole[aws] = began + max(WHOLE_SECONDS, SHARE * took)
        for link in self._accounts().get(aws, ()):
            if before.get(link.id) != link.endpoint_state:
                continue  # it moved while AWS answered, and the answer may be the older one: the next look tells
            if changed(link.endpoint_state, present.get(link.endpoint), whole):
                self._wake(link.id)


def changed(known: str, present: str | None, whole: bool) -> bool:
    """Whether an endpoint is no longer as `known`; absent from a whole answer it is gone, else it may be available."""
    if present is not None:
        return present != known
    return known != DELETED if whole else known not in (AVAILABLE, DELETED)
