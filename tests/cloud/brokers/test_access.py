"""The commands for the dynamic security plugin, held against the document that the same settings make from nothing."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.agent.brokers.access import Command, difference, document
from tieline.agent.brokers.settings import AGENT, Access, Listener, Settings, User

rules = st.lists(
    st.builds(
        Access,
        topic=st.sampled_from(["#", "a/#", "a/+", "b"]),
        action=st.sampled_from(["publish", "subscribe", "all"]),
        allow=st.booleans(),
    ),
    max_size=3,
).map(tuple)
users = st.lists(
    st.builds(User, name=st.sampled_from("abcd"), password=st.sampled_from(["x", "y"]), rules=rules),
    max_size=4,
    unique_by=lambda user: user.name,
).map(tuple)


def settings(people: tuple[User, ...]) -> Settings:
    return Settings(mqtt=Listener(host="127.0.0.1", port=1883), users=people)


def salt(size: int) -> bytes:
    return b"\0" * size


class Plugin:
    """What the plugin does with commands, as its documentation says."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.roles = {role["rolename"]: role["acls"] for role in start["roles"]}
        self.clients = {client["username"]: client for client in start["clients"]}

    def do(self, command: Command) -> None:
        match command:
            case {"command": "createRole", "rolename": name, "acls": acls}:
                assert name not in self.roles
                self.roles[name] = acls
            case {"command": "modifyRole", "rolename": name, "acls": acls}:
                assert name in self.roles
                self.roles[name] = acls
            case {"command": "deleteRole", "rolename": name}:
                del self.roles[name]
            case {"command": "createClient", "username": name, "password": password, "roles": roles}:
                assert name not in self.clients
                assert all(role["rolename"] in self.roles for role in roles)
                self.clients[name] = {"username": name, "roles": roles, **hashed(password)}
            case {"command": "setClientPassword", "username": name, "password": password}:
                self.clients[name] = {**self.clients[name], **hashed(password)}
            case {"command": "deleteClient", "username": name}:
                del self.clients[name]
            case _:
                raise AssertionError(command)


def hashed(password: str) -> dict[str, Any]:
    hash = hashlib.pbkdf2_hmac("sha512", password.encode(), salt(12), 101)
    return {
        "password": base64.b64encode(hash).decode(),
        "salt": base64.b64encode(salt(12)).decode(),
        "iterations": 101,
    }


@given(users, users)
def test_a_difference_leads_where_a_fresh_start_does(before: tuple[User, ...], after: tuple[User, ...]) -> None:
    plugin = Plugin(document(settings(before), "own", salt))
    for command in difference(settings(before), settings(after)):
        plugin.do(command)
    fresh = Plugin(document(settings(after), "own", salt))
    assert plugin.roles == fresh.roles
    assert plugin.clients == fresh.clients


@given(users)
def test_the_same_users_need_no_command(people: tuple[User, ...]) -> None:
    assert difference(settings(people), settings(people)) == []


@given(users, users)
def test_nobody_touches_the_agent(before: tuple[User, ...], after: tuple[User, ...]) -> None:
    assert all(command.get("username") != AGENT for command in difference(settings(before), settings(after)))


@pytest.mark.parametrize("topic", ["$SYS/#", "$CONTROL/#"])
def test_no_rule_that_an_older_platform_took_opens_what_is_the_brokers_own(topic: str) -> None:
    user = User(name="boss", password="x", rules=(Access(topic=topic),))
    (acls,) = [
        role["acls"] for role in document(settings((user,)), "own", salt)["roles"] if role["rolename"] == "user-boss"
    ]
    for kind in ("publishClientSend", "publishClientReceive", "subscribePattern"):
        first = max(
            (acl for acl in acls if (acl["acltype"], acl["topic"]) == (kind, topic)), key=lambda acl: acl["priority"]
        )
        assert not first["allow"]
