"""What a deployment's own broker is told to be: where it listens, with which certificate, and who may do what."""

from __future__ import annotations

import msgspec

LISTENERS = ("mqtt", "mqtts", "websocket")
ANY_ORIGIN = "*"


class Setting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every setting."""


class Listener(Setting, frozen=True, kw_only=True):
    """An address to listen on."""

    host: str
    port: int


class Tls(Setting, frozen=True, kw_only=True):
    """MQTT over TLS: an address, and the certificate chain with its key as PEM texts."""

    host: str
    port: int
    certificate: str
    key: str


class Access(Setting, frozen=True, kw_only=True):
    """A rule on topics: `action` is publish, subscribe or all; the first rule that fits decides."""

    topic: str
    action: str = "all"
    allow: bool = True


class User(Setting, frozen=True, kw_only=True):
    """An MQTT user; without rules every topic is allowed, with rules nothing that none of them allows."""

    name: str
    password: str
    rules: tuple[Access, ...] = ()


class Settings(Setting, frozen=True, kw_only=True, tag="own"):
    """Everything about the broker."""

    mqtt: Listener
    tls: Tls | None = None
    websocket: Listener | None = None
    users: tuple[User, ...] = ()
    anonymous: bool = True
    anonymous_on: tuple[str, ...] = ()  # the listeners that need no user where `anonymous` is false, see LISTENERS
    origins: tuple[str, ...] = (ANY_ORIGIN,)  # of web pages that may connect by WebSocket besides the broker's own
    events: bool = False  # whether a rule reads what happens to clients


#: The agent's own name at its broker; no user of people's has it.
AGENT = "tieline-agent"
#: How the agent's own client ids begin; the platform's broker lets nobody else in with such an id.
CLIENT_ID = "tieline-integration"
EVERY_TOPIC = (Access(topic="#"),)


class Remote(Setting, frozen=True, kw_only=True, tag="remote"):
    """A broker of somebody else's, and the group of clients that share its messages among them."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    tls: bool = False
    authority: str = ""  # PEM; the system's own where none is given
    server_name: str = ""  # to verify, where it is not the host
    group: str = "tieline"
