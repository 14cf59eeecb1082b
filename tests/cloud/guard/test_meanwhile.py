"""A password that ends while somebody is let in by it opens nothing: checking one takes time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from tieline.cloud.guard.passwords import hash_password
from tieline.cloud.guard.records import Caller, Grant, Session, User
from tieline.cloud.guard.service import Entrance, Login, change_password
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.store.repository import Repository
from tieline.store import SQLiteStore

OLD, NEW, THIRD = (SecretStr(f"correct horse {word}") for word in ("battery", "staple", "again"))
ADA = Login(name="ada", password=OLD)


@pytest.fixture
async def records() -> AsyncIterator[Repository]:
    made = Repository(SQLiteStore(":memory:"))
    made.commit(write=[User(id="u", name="ada", password=await hash_password(OLD.get_secret_value(), ""), created="")])
    yield made
    made.close()


@pytest.mark.parametrize("meanwhile", ["another password", "deleted"])
async def test_a_login_that_was_under_way_is_refused(records: Repository, meanwhile: str) -> None:
    other = await hash_password(NEW.get_secret_value(), "")
    entering = asyncio.create_task(Entrance(records).login(ADA, "127.0.0.1"))
    await asyncio.sleep(0)
    [user] = records.all(User)
    if meanwhile == "deleted":
        records.commit(delete=[user])
    else:
        records.commit(write=[user.model_copy(update={"password": other})])
    with pytest.raises(PlatformError) as refused:
        await entering
    assert (refused.value.status, records.all(Session)) == (401, [])


async def test_the_old_password_changes_none_that_was_set_meanwhile(records: Repository) -> None:
    ada = Caller("ada", "user", "u", Grant(), "127.0.0.1", "s")
    changing = asyncio.create_task(change_password(records, ada, OLD, THIRD))
    await asyncio.sleep(0)
    [user] = records.all(User)
    reset = user.model_copy(update={"password": "set by an administrator"})
    records.commit(write=[reset])
    with pytest.raises(PlatformError) as refused:
        await changing
    assert refused.value.code == "WRONG_PASSWORD"
    assert [one.password for one in records.all(User)] == [reset.password]


async def test_a_login_that_nobody_disturbs_is_a_session(records: Repository) -> None:
    user, _ = await Entrance(records).login(ADA, "127.0.0.1")
    assert [session.user for session in records.all(Session)] == [user.id]
