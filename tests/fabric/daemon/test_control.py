"""Accounts, managed over the socket of a running fabric's state directory."""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import random
import sqlite3
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from fabric.worlds import REGION, Fabric
from tieline.fabric.core.ids import Ids
from tieline.fabric.daemon import accounts, control
from tieline.fabric.daemon.control import Command, Control, Create, Delete, Listing, Outcome, Rotate, Trust
from tieline.fabric.daemon.dispatch import key_lookup
from tieline.store import SQLiteStore


class Served:
    """A fabric's control on a directory whose path is longer than a socket's may be."""

    def __init__(self, place: Path) -> None:
        self.state = place / ("long" * 30)
        self.state.mkdir()
        self.file = self.state / "fabric.db"
        self.fabric = Fabric(store=SQLiteStore(self.file))
        ids = Ids(random.Random(2))
        self.credentials = self.state / "credentials"
        self.control = Control(self.fabric.world, REGION, ids, lambda: self.fabric.now, self.credentials)

    async def ask(self, command: Command) -> Outcome:
        return await asyncio.to_thread(control.ask, self.state, command)

    def profiles(self) -> dict[str, str]:
        found = configparser.ConfigParser()
        found.read(self.credentials)
        return {name: found[name]["aws_access_key_id"] for name in found.sections()}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    server = await control.listen(made.state, made.control)
    yield made
    server.close()


async def test_one_account_at_most_has_the_key_that_everybody_knows(served: Served) -> None:
    assert key_lookup(served.fabric.world)("test") is None
    made = await served.ask(Create("local", test_key=True))
    assert made.accounts[0].keys == ("test",) and served.profiles()["local"] == "test"
    assert (await served.ask(Create("second", test_key=True))).code == "EXISTS"
    await served.ask(Rotate("local", grace=0))
    served.fabric.now += timedelta(seconds=1)
    known = key_lookup(served.fabric.world)("test")
    assert known is not None and known.expires is not None and known.expires <= served.fabric.now


async def test_an_account_that_is_created_can_sign_and_is_a_profile(served: Served) -> None:
    made = await served.ask(Create("plant-2"))
    view = made.accounts[0]
    assert (view.name, view.owns, view.role) == ("plant-2", 0, f"arn:aws:iam::{view.id}:role/tieline-admin")
    assert served.profiles()["plant-2"] == view.keys[0]
    credential = key_lookup(served.fabric.world)(view.keys[0])
    assert credential is not None and credential.account == view.id
    listed = await served.ask(Listing())
    assert {account.name for account in listed.accounts} == {"platform", "customer", "other", "plant-2"}


@pytest.mark.parametrize("name", ["", "Plant", "a b", "x\n[default]", "-a", "a" * 64, "../x"])
async def test_a_name_that_is_no_profile_changes_nothing(served: Served, name: str) -> None:
    before = served.fabric.dump()
    assert (await served.ask(Create(name))).code == "INVALID_NAME"
    assert (await served.ask(Create("customer"))).code == "EXISTS"
    assert served.fabric.dump() == before


async def test_rotated_keys_work_for_the_grace_and_no_longer(served: Served) -> None:
    old = served.fabric.customer.credential.access_key
    made = await served.ask(Rotate("customer", 60))
    new = served.profiles()["customer"]
    assert new != old and set(made.accounts[0].keys) == {old, new}
    ending = key_lookup(served.fabric.world)(old)
    assert ending is not None and ending.expires == served.fabric.now + timedelta(seconds=60)
    served.fabric.pass_time(hours=2)
    assert key_lookup(served.fabric.world)(old) is None
    assert key_lookup(served.fabric.world)(new) is not None


async def test_trust_is_given_and_withdrawn(served: Served) -> None:
    arn = f"arn:aws:iam::{served.fabric.platform.id}:root"
    role = {"RoleArn": f"arn:aws:iam::{served.fabric.customer.id}:role/tieline-admin", "RoleSessionName": "shift"}
    assert (await served.ask(Trust("customer", arn))).accounts[0].trusted == (arn,)
    assert served.fabric.platform("sts", "AssumeRole", **role)["Credentials"]
    assert (await served.ask(Trust("customer", arn, withdraw=True))).accounts[0].trusted == ()
    served.fabric.platform.refused("AccessDenied", "sts", "AssumeRole", **role)
    assert (await served.ask(Trust("customer", "nobody"))).code == "INVALID_PRINCIPAL"


async def test_an_account_is_deleted_when_it_owns_nothing_and_does_not_come_back(served: Served) -> None:
    vpc = served.fabric.other.ec2("CreateVpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    refused = await served.ask(Delete("other"))
    assert refused.code == "IN_USE" and vpc in refused.message
    served.fabric.other.ec2("DeleteVpc", VpcId=vpc)
    assert (await served.ask(Delete("other"))).accounts[0].id == served.fabric.other.id
    assert (await served.ask(Delete("other"))).code == "NOT_FOUND"
    assert key_lookup(served.fabric.world)(served.fabric.other.credential.access_key) is None
    await served.ask(Delete("customer"))
    accounts.ensure_first(served.fabric.world, REGION, Ids(random.Random(3)))
    assert served.profiles().keys() == {"platform"}


async def test_what_cannot_be_written_is_told_and_not_done(served: Served) -> None:
    file = served.file
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        outcome = await served.ask(Create("plant-2"))
        assert (outcome.code, outcome.accounts) == ("ServiceUnavailable", ()) and "locked" in outcome.message
    assert (await served.ask(Create("plant-2"))).code == ""


async def test_a_file_of_credentials_that_cannot_be_written_is_told(served: Served) -> None:
    served.credentials.unlink(missing_ok=True)
    served.credentials.mkdir()
    outcome = await served.ask(Create("plant-2"))
    assert outcome.code == "NOT_WRITTEN" and "directory" in outcome.message
    served.credentials.rmdir()
    await served.ask(Create("plant-3"))
    assert {"plant-2", "plant-3"} <= served.profiles().keys()


async def test_the_socket_is_its_owners_alone_and_nonsense_does_nothing(served: Served) -> None:
    assert stat.S_IMODE((served.state / control.SOCKET).stat().st_mode) == 0o600
    before = served.fabric.dump()
    for nonsense in (b"", b"{", b"[]", b'{"type":"destroy"}', b'{"type":"rotate","account":"customer","grace":"x"}'):
        assert control.answer(served.control, nonsense).code == "INVALID"
    assert served.fabric.dump() == before
