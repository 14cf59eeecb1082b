"""MQTT users and access rules as Mosquitto's dynamic security plugin takes them: pure, a document or a difference.

The names of commands and of access types are the plugin's (mosquitto.org/documentation/dynamic-security).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from tieline.agent.brokers.events import LOG
from tieline.agent.brokers.settings import AGENT, EVERY_TOPIC, Access, Settings, User

CONTROL = "$CONTROL/dynamic-security/v1"
ANONYMOUS, EVERYTHING, AGENTS = "anonymous", "everything", "agent"
ITERATIONS = 101  # of PBKDF2, as the plugin itself does: it computes them in the broker's only thread
SALT_BYTES = 12
FIRST_PRIORITY = 1000  # the plugin asks the highest first
EVENTS = "$events/#"  # only the agent says what happened to clients
#: Topics that are no user's, whatever the rules say: the broker's own word on itself, and the way to command it.
INTERNAL = ("$SYS/#", "$CONTROL/#")
SHARED = "$share/"  # MQTT 5, 4.8.2

SENDING, HEARING = "publishClientSend", ("subscribePattern", "publishClientReceive")

Command = Mapping[str, Any]


def document(settings: Settings, password: str, salt: Callable[[int], bytes]) -> dict[str, Any]:
    """The plugin's file for these settings; `password` is the agent's own, `salt` gives random bytes."""
    roles = [{"rolename": AGENTS, "acls": _own()}, {"rolename": EVERYTHING, "acls": _acls(EVERY_TOPIC)}]
    roles += [{"rolename": _role(user), "acls": _acls(user.rules or EVERY_TOPIC)} for user in settings.users]
    agent = {"username": AGENT, "roles": [{"rolename": AGENTS}], **_hashed(password, salt(SALT_BYTES))}
    people = [
        {"username": user.name, "roles": [{"rolename": _role(user)}], **_hashed(user.password, salt(SALT_BYTES))}
        for user in settings.users
    ]
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": False,
            "subscribe": False,
            "unsubscribe": True,
        },
        "clients": [agent, *people],
        "groups": [{"groupname": ANONYMOUS, "roles": [{"rolename": EVERYTHING}]}],
        "anonymousGroup": ANONYMOUS,
        "roles": roles,
    }


def difference(before: Settings, after: Settings) -> list[Command]:
    """The commands that turn the users of `before` into those of `after`; nobody else is disturbed."""
    old, new = {user.name: user for user in before.users}, {user.name: user for user in after.users}
    commands: list[Command] = []
    for name in sorted(old.keys() - new.keys()):
        commands += [
            {"command": "deleteClient", "username": name},
            {"command": "deleteRole", "rolename": _role(old[name])},
        ]
    for name in sorted(new.keys() - old.keys()):
        user = new[name]
        commands += [
            {"command": "createRole", "rolename": _role(user), "acls": _acls(user.rules or EVERY_TOPIC)},
            {
                "command": "createClient",
                "username": name,
                "password": user.password,
                "roles": [{"rolename": _role(user)}],
            },
        ]
    for name in sorted(old.keys() & new.keys()):
        commands += _changed(old[name], new[name])
    return commands


def _changed(old: User, new: User) -> list[Command]:
    commands: list[Command] = []
    if old.rules != new.rules:
        acls = _acls(new.rules or EVERY_TOPIC)
        commands.append({"command": "modifyRole", "rolename": _role(new), "acls": acls})
    if old.password != new.password or commands:
        commands.append({"command": "setClientPassword", "username": new.name, "password": new.password})
    return commands


def _own() -> list[dict[str, Any]]:
    """What the agent may do: everything that users may, tell events, read the broker's log, and command the plugin."""
    hears = [(topic, kind) for topic in (EVENTS, f"{LOG}#", f"{CONTROL}/#") for kind in HEARING]
    says = [(topic, SENDING) for topic in (EVENTS, CONTROL)]
    return [*(_acl(kind, topic, True, FIRST_PRIORITY) for topic, kind in hears + says), *_rules(EVERY_TOPIC)]


def _role(user: User) -> str:
    return f"user-{user.name}"


def _acls(rules: tuple[Access, ...]) -> list[dict[str, Any]]:
    """The rules of a user, below what none of them can allow."""
    denied = [(EVENTS, SENDING), *((topic, kind) for topic in INTERNAL for kind in (SENDING, *HEARING))]
    return [*(_acl(kind, topic, False, FIRST_PRIORITY + 1) for topic, kind in denied), *_rules(rules)]


def _rules(rules: tuple[Access, ...]) -> list[dict[str, Any]]:
    found = []
    for number, rule in enumerate(rules):
        priority = FIRST_PRIORITY - number
        if rule.action in ("publish", "all"):
            found.append(_acl(SENDING, rule.topic, rule.allow, priority))
        if rule.action in ("subscribe", "all"):
            found.append(_acl("subscribePattern", rule.topic, rule.allow, priority))
            found += [_acl("publishClientReceive", topic, rule.allow, priority) for topic in _received(rule)]
    return found


def _received(rule: Access) -> list[str]:
    """The topics of the messages that a subscription brings: those of a shared one name no group."""
    if not rule.topic.startswith(SHARED):
        return [rule.topic]
    _, _, filter = rule.topic.removeprefix(SHARED).partition("/")
    return [filter] if filter and rule.allow else []


def _acl(kind: str, topic: str, allow: bool, priority: int) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


def _hashed(password: str, salt: bytes) -> dict[str, Any]:
    hash = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    plain = {"password": hash, "salt": salt}
    return {name: base64.b64encode(value).decode() for name, value in plain.items()} | {"iterations": ITERATIONS}
