"""An example of every request body, for the description of the interface and whoever tries it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

ADDRESS = {"host": "127.0.0.1", "port": 8883}
SERVICE = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"
STATEMENT = "insert into warm(device) values (${device})"
RULE = {
    "name": "warm",
    "sql": 'SELECT payload.device as device FROM "sensors/#" WHERE payload.temp > 20',
    "actions": [{"kind": "sql", "resource": "orders", "sql": STATEMENT}],
}
RESOURCE = {
    "name": "orders",
    "type": "postgresql",
    "server": "link:orders:5432",
    "database": "app",
    "username": "app",
    "password": "secret",
}
LINK = {"name": "orders", "service_name": SERVICE, "ports": [5432]}
PASSWORD = "a passphrase of some words"

EXAMPLES: Mapping[str, Any] = {
    "deployments_create": {"name": "plant", "provider": "external", "mqtt": {"host": "127.0.0.1", "port": 1883}},
    "deployments_change": {"description": "the plant in the north", "mqtts": ADDRESS},
    "private_links_create": LINK,
    "private_links_check": LINK,
    "private_links_change": {"ports": [5432, 6432]},
    "private_links_reconnect": {},
    "resources_create": RESOURCE,
    "resources_replace": RESOURCE,
    "resources_change": {"password": "another secret"},
    "resources_probe": RESOURCE,
    "rules_create": RULE,
    "rules_replace": RULE,
    "rules_change": {"enable": False},
    "rules_test": {"sql": RULE["sql"], "context": {"topic": "sensors/1", "payload": {"device": "d", "temp": 21}}},
    "rules_test_saved": {"context": {"topic": "sensors/1", "payload": {"device": "d", "temp": 21}}},
    "dead_letters_replay": {"rule": "warm"},
    "dead_letters_discard": {"ids": ["0123456789abcdef0123456789abcdef"]},
    "dead_letters_correct": {"message": {"payload": {"device": "d", "temp": 21}}},
    "mqtt_users_create": {"name": "pump-7", "password": "a long random text", "rules": [{"topic": "pumps/7/#"}]},
    "mqtt_users_change": {"rules": [{"topic": "pumps/#", "action": "publish"}]},
    "users_create": {"name": "ada", "password": PASSWORD, "role": "operator"},
    "users_change": {"role": "auditor"},
    "keys_create": {"name": "ci", "role": "operator", "days": 90},
    "alerts_create": {"name": "on-call", "url": "https://alerts.example.com/tieline", "secret": "a long random text"},
    "retention_change": {"audit_days": 365, "history_entries": 100},
    "session_login": {"name": "ada", "password": PASSWORD},
    "session_password": {"old": PASSWORD, "new": "another passphrase of some words"},
}


def describe(app: FastAPI) -> None:
    """Have the application's description carry the examples; it is made once."""
    made = app.openapi

    def with_examples() -> dict[str, Any]:
        fresh = app.openapi_schema is None
        described = made()
        if fresh:
            for methods in described["paths"].values():
                for operation in methods.values():
                    _add(operation)
        return described

    app.openapi = with_examples  # type: ignore[method-assign]


def _add(operation: dict[str, Any]) -> None:
    example = EXAMPLES.get(operation.get("operationId", ""))
    if example is None or "requestBody" not in operation:
        return
    for content in operation["requestBody"]["content"].values():
        content.setdefault("examples", {"usual": {"value": example}})
