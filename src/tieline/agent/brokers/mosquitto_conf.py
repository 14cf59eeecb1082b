"""Mosquitto's configuration file as a deployment's settings have it: pure."""

from __future__ import annotations

from pathlib import Path

from tieline.agent.brokers.events import LOG_TYPES
from tieline.agent.brokers.settings import AGENT, CLIENT_ID, LISTENERS, Listener, Settings

CONFIGURATION, ACCESS = "mosquitto.conf", "dynamic-security.json"
GATE = "open"  # exists while devices are let in, see origin.c
ANONYMOUS = "anonymous"  # names the listeners that need no user, see origin.c
CERTIFICATE, KEY = "certificate.pem", "key.pem"
SECURITY = "mosquitto_dynamic_security.so"  # Debian puts it among the libraries of the architecture
LIBRARIES = (Path("/usr/lib"), Path("/usr/local/lib"))
LOOPBACK = "lo"  # the interface: for an address libwebsockets listens at every address of the machine
UNLIMITED = 1_000_000_000  # not 0: 2.0.11 then ends the connection of who publishes what it may not
SAVE_SECONDS = 60  # its own interval between two writes; `saving` asks for them earlier


def configuration(settings: Settings, plugin: str, inner: Listener, peers: int) -> str:
    """The configuration: paths are relative, for the broker may enter its directory but not those above it. Where there
    is one for WebSocket it listens at the loopback port of `inner`, behind the agent.
    """
    opened = settings.anonymous or (bool(settings.anonymous_on) and bool(plugin))  # the plugin tells listeners apart
    lines = [
        "per_listener_settings false",
        f"allow_anonymous {str(opened).lower()}",
        *(_plugin(plugin, peers) if plugin else []),
        f"plugin {security()}",  # behind the gate: the first that decides on a login decides
        f"plugin_opt_config_file {ACCESS}",
        "persistence true",
        "persistence_location ./",
        f"autosave_interval {SAVE_SECONDS}",
        "max_inflight_messages 0",  # the client's receive maximum is the limit
        f"max_queued_messages {UNLIMITED}",  # a slow database must not cost a message
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        *(["log_dest topic", *(f"log_type {type}" for type in LOG_TYPES)] if settings.events else []),
        f"connection_messages {str(settings.events).lower()}",
        f"listener {settings.mqtt.port} {settings.mqtt.host}",
    ]
    if settings.tls:
        lines += [f"listener {settings.tls.port} {settings.tls.host}", f"certfile {CERTIFICATE}", f"keyfile {KEY}"]
    if settings.websocket:
        lines += [f"listener {inner.port} {LOOPBACK}", "protocol websockets"]
    return "\n".join(lines) + "\n"


def _plugin(plugin: str, peers: int) -> list[str]:
    options = {"gate": GATE, "agent": AGENT, "reserved": CLIENT_ID, "anonymous": ANONYMOUS, "peers": str(peers)}
    return [f"plugin {plugin}", *(f"plugin_opt_{name} {value}" for name, value in options.items())]


def without_user(settings: Settings) -> list[str]:
    """The listeners that need no user as the plugin names them: by port, and the one for WebSocket by name."""
    ports = {"mqtt": settings.mqtt.port, "mqtts": settings.tls.port if settings.tls else 0}
    return [str(ports.get(name, name)) for name in _opened(settings)]


def narrowed(before: Settings, after: Settings) -> bool:
    """Whether some listeners need a user from now on and others do not: the broker cannot end the connections of these
    alone without a restart.
    """
    return bool(_opened(after)) and not set(_opened(before)) <= set(_opened(after))


def _opened(settings: Settings) -> tuple[str, ...]:
    return LISTENERS if settings.anonymous else settings.anonymous_on


def security() -> Path:
    for directory in LIBRARIES:
        for found in (*directory.glob(SECURITY), *directory.glob(f"*/{SECURITY}")):
            return found
    raise FileNotFoundError(f"Mosquitto's plugin {SECURITY} is not installed: apt install mosquitto")
