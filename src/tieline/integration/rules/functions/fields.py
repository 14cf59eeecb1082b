"""Functions that give the message's fields, as older rules have them."""

from __future__ import annotations

from typing import Any, Final

from tieline.integration.rules.registry import LIBRARY, Example, Function, function, text, whole
from tieline.integration.rules.values.errors import RuleFailure
from tieline.integration.rules.values.values import MISSING, get

GROUP: Final = "Fields of the message"
_SAME_NAME: Final = {
    "clientid": ("clientid", "The publisher's client id."),
    "clientip": ("peerhost", "The publisher's IP address."),
    "flags": ("flags", "The map of `retain` and `dup`."),
    "msgid": ("id", "The message's id."),
    "peerhost": ("peerhost", "The publisher's IP address."),
    "qos": ("qos", "The quality of service of the delivery."),
    "username": ("username", "The publisher's user name."),
}


def _declare() -> None:
    for name, (field, doc) in _SAME_NAME.items():

        def run(value: Any) -> Any:
            return value

        run.__code__ = run.__code__.replace(co_name=name)  # its own, by which an error names the function
        shown = (Example(f"{name}()", None),)
        LIBRARY[name] = Function(name, GROUP, doc, run, 0, 0, shown, telling=True, unsettled=True, field=field)


_declare()


@function(GROUP, ("flag('retain')", "false"), field="flags", unsettled=True)
def flag(flags: Any, name: Any) -> Any:
    """One of the flags, `retain` or `dup`."""
    return get(flags, text(name), MISSING)


@function(GROUP, ("topic()", "'t'"), ("topic(1)", "'t'"), telling=True, unsettled=True, field="topic")
def topic(name: Any, level: Any = MISSING) -> Any:
    """The topic, or one level of it, counted from 1."""
    if not isinstance(name, str) or level is MISSING:
        return name
    levels = name.split("/")
    if not 1 <= whole(level) <= len(levels):
        raise RuleFailure(f"{name} has the levels 1 to {len(levels)}, not {level}")
    return levels[level - 1]


@function(GROUP, ("payload()", "'{}'"), ("payload('missing')", "payload.missing"), field="payload", unsettled=True)
def payload(whole: Any, path: Any = None) -> Any:
    """The payload, or the value in its JSON under a key, or under keys with dots between them."""
    found = whole
    for key in text(path).split(".") if path is not None else ():
        found = get(found, key, MISSING)
    return found
