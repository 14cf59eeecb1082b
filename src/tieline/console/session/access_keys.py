"""Whether somebody's access keys are right: AWS is asked, which takes a while, so that who asks for much waits."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

from tieline.base.http.sources import source as source_of
from tieline.cloud.guard.identify import too_many
from tieline.cloud.guard.limits import SOURCE, Attempts
from tieline.cloud.guard.turns import Crowded, Turns
from tieline.console.session import context
from tieline.console.session.credentials import Keys

AT_ONCE = 2  # each takes a processor for some 100 ms, for the models of AWS's client, and waits for AWS
OF_ONE, OF_ALL = 8, 64  # that may wait, of one source and of all

_turns = Turns(AT_ONCE, OF_ONE, OF_ALL)
_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="access keys")  # those of the pages are not theirs
_heard = Attempts(SOURCE)


async def check(keys: Keys, address: str) -> None:
    """Raises BotoCoreError, ClientError or ValueError for keys that are not right, PlatformError 429 where one source
    asks for too much.
    """
    source, now = source_of(address), time.time()
    if wait := _heard.wait(source, now):
        raise too_many(wait)
    _heard.add(source, now)
    try:
        async with _turns.turn(source):
            await asyncio.get_running_loop().run_in_executor(_threads, _identity, keys)
    except Crowded:
        raise too_many(1.0) from None
    _heard.give_back(source)


def _identity(keys: Keys) -> None:
    place = context.current.place
    session = boto3.Session(keys.access_key, keys.secret_key, region_name=place.region)
    settings = Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=10)
    session.client("sts", endpoint_url=place.wire or None, config=settings).get_caller_identity()
