"""MQTT users and access rules as Mosquitto's dynamic security plugin takes them: pure, a document or a difference.

The names of commands and of access types are the plugin's (mosquitto.org/documentation/dynamic-security).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from tieline.cloud.brokers.events import LOG
from tieline.cloud.brokers.settings import AGENT, EVERY_TOPIC, Access, Settings, User

CONTROL = "$CONTROL/dynamic-security/v1"
ANONYMOUS, EVERYTHING, AGENTS = "anonymous", "everything", "agent"
ITERATIONS = 101  # of PBKDF2, as the plugin itself does: it computes them in the broker's only thread
SALT_BYTES = 12
FIRST_PRIORITY = 1000  # the plugin asks the highest first
EVENTS = "$events/#"  # only the agent says what happened to clients

Command = Mapping[str, Any]


def document(settings: Settings, password: str, salt: Callable[[int], bytes]) -> dict[str, Any]:
    """The plugin's file for these settings; `password` is the agent's own, `salt` gives random bytes."""
    own = [*_acls(EVERY_TOPIC), *(_acl(kind, f"{CONTROL}/#", True, 0) for kind in ("subscribePattern",))]
    own += [_acl(kind, EVENTS, True, 2 * FIRST_PRIORITY) for kind in ("publishClientSend", "subscribePattern")]
    own += [_acl("subscribePattern", f"{LOG}#", True, 0)]
    own += [_acl("publishClientSend", CONTROL, True, 0), _acl("publishClientReceive", f"{CONTROL}/#", True, 0)]
    roles = [{"rolename": AGENTS, "acls": own}, {"rolename": EVERYTHING, "acls": _acls(EVERY_TOPIC)}]
    roles += [{"rolename": _role(user), "acls": _acls(user.rules or EVERY_TOPIC)} for user in settings.users]
    agent = {"username": AGENT, "roles": [{"rolename": AGENTS}], **_hashed(password, salt(SALT_BYTES))}
    people = [
        {"username": user.name, "roles": [{"rolename": _role(user)}], **_hashed(user.password, salt(SALT_BYTES))}
        for user in settings.users
    ]
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": True,
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


def _role(user: User) -> str:
    return f"user-{user.name}"


def _acls(rules: tuple[Access, ...]) -> list[dict[str, Any]]:
    found = [_acl("publishClientSend", EVENTS, False, FIRST_PRIORITY + 1)]
    for number, rule in enumerate(rules):
        priority = FIRST_PRIORITY - number
        if rule.action in ("publish", "all"):
            found.append(_acl("publishClientSend", rule.topic, rule.allow, priority))
        if rule.action in ("subscribe", "all"):
            found.append(_acl("subscribePattern", rule.topic, rule.allow, priority))
            found.append(_acl("publishClientReceive", rule.topic, rule.allow, priority))
    return found


def _acl(kind: str, topic: str, allow: bool, priority: int) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


def _hashed(password: str, salt: bytes) -> dict[str, Any]:
    hash = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    plain = {"password": hash, "salt": salt}
    return {name: base64.b64encode(value).decode() for name, value in plain.items()} | {"iterations": ITERATIONS}
