"""What the answers to single messages amount to for the batch that they were sent in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from tieline.integration.sinks.base.failures import Rejected, Unavailable

#: An answer that is awaited, or what is known at once: an error, or None for a row that is in.
Pending = asyncio.Future[Any] | Exception | None
Made = TypeVar("Made")


def rendered(
    outputs: Sequence[dict[str, Any]], render: Callable[[dict[str, Any]], Made]
) -> tuple[list[tuple[int, Made]], dict[int, str]]:
    """What is made of each output, with its place, and why nothing could be made of others (ValueError), by place."""
    made: list[tuple[int, Made]] = []
    refused: dict[int, str] = {}
    for place, output in enumerate(outputs):
        try:
            made.append((place, render(output)))
        except ValueError as error:
            refused[place] = str(error)
    return made, refused


async def results(pending: Sequence[Pending], lost: asyncio.Event, seconds: float) -> list[BaseException | None]:
    """What became of each row, when every answer has come, or after `seconds`, or when the connection is lost."""
    futures = [answer for answer in pending if isinstance(answer, asyncio.Future)]
    if futures:
        everything, gone = asyncio.ensure_future(asyncio.wait(futures)), asyncio.ensure_future(lost.wait())
        try:
            await asyncio.wait((everything, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            everything.cancel()
            gone.cancel()
    silence: Exception = TimeoutError(f"no answer within {seconds} s")
    if lost.is_set():
        silence = ConnectionError("the connection was lost before an answer came")
    return [_result(answer, silence) for answer in pending]


def _result(answer: Pending, silence: Exception) -> BaseException | None:
    if not isinstance(answer, asyncio.Future):
        return answer
    if not answer.done():
        answer.cancel()
        return silence
    return silence if answer.cancelled() else answer.exception()


def judge(
    found: Sequence[BaseException | None],
    verdict: Callable[[BaseException], Unavailable | Rejected],
    shared: tuple[type[BaseException], ...] = (),
) -> None:
    """Raise Rejected for the rows that are refused, else Unavailable where some are not in; both tell which are.

    An error of the types `shared` is one row's fault and meets others too, so that nobody knows which row it is.
    """
    written = [place for place, error in enumerate(found) if error is None]
    refused: dict[int, str] = {}
    troubles: dict[int, Unavailable] = {}
    for place, error in enumerate(found):
        if error is None:
            continue
        said = verdict(error)
        if isinstance(said, Rejected):
            if isinstance(error, shared):
                raise Rejected(str(said), None, written)
            refused[place] = str(said)
        else:
            troubles[place] = said
    if refused:
        raise Rejected("messages that are not taken", refused, written)
    if troubles:
        raise worst(troubles, written)


def worst(troubles: Mapping[int, Unavailable], written: Collection[int] = ()) -> Unavailable:
    """What is said of rows that are not in: of the server where an answer speaks of it, else of the rows by place."""
    told = list(troubles.values())
    trouble = next((one for came in ("away", "answer") for one in told if one.came == came), told[0])
    trouble.written = written
    trouble.retry_after = max(one.retry_after for one in told)
    if trouble.came == "answer":
        trouble.rows = {place: one.message for place, one in troubles.items() if one.came == "answer"}
    return trouble
