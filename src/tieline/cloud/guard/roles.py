"""Which role may do which operation of the REST interface: one table, and nothing else decides it.

Rules: an operation that is not in the table is allowed to nobody. An auditor reads everything and changes nothing. An
operator does the daily work inside deployments. Only an administrator makes and removes deployments, people and keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    AUDITOR = "auditor"


EVERYBODY = frozenset(Role)
WORKERS = frozenset({Role.ADMINISTRATOR, Role.OPERATOR})
WATCHERS = frozenset({Role.ADMINISTRATOR, Role.AUDITOR})
ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})

PERMITTED: Mapping[str, frozenset[Role]] = {
    "deployments_list": EVERYBODY,
    "deployments_get": EVERYBODY,
    "deployments_offer": EVERYBODY,
    "deployments_create": ADMINISTRATORS,
    "deployments_change": WORKERS,
    "deployments_delete": ADMINISTRATORS,
    "deployments_join_token": ADMINISTRATORS,
    "deployments_stop": WORKERS,
    "deployments_start": WORKERS,
    "deployments_certificate": EVERYBODY,
    "deployments_traffic": EVERYBODY,
    "mqtt_users_list": EVERYBODY,
    "mqtt_users_get": EVERYBODY,
    "mqtt_users_create": WORKERS,
    "mqtt_users_change": WORKERS,
    "mqtt_users_delete": WORKERS,
    "private_links_list": EVERYBODY,
    "private_links_list_all": EVERYBODY,
    "private_links_get": EVERYBODY,
    "private_links_check": WORKERS,
    "private_links_create": WORKERS,
    "private_links_change": WORKERS,
    "private_links_delete": WORKERS,
    "private_links_doctor": EVERYBODY,
    "private_links_health": EVERYBODY,
    "private_links_reconnect": WORKERS,
    "resources_list": EVERYBODY,
    "resources_list_all": EVERYBODY,
    "resources_get": EVERYBODY,
    "resources_create": WORKERS,
    "resources_replace": WORKERS,
    "resources_change": WORKERS,
    "resources_probe": WORKERS,
    "resources_probe_saved": WORKERS,
    "resources_delete": WORKERS,
    "rules_list": EVERYBODY,
    "rules_list_all": EVERYBODY,
    "rules_get": EVERYBODY,
    "rules_create": WORKERS,
    "rules_replace": WORKERS,
    "rules_change": WORKERS,
    "rules_test": WORKERS,
    "rules_test_saved": WORKERS,
    "rules_metrics": EVERYBODY,
    "rules_reset": WORKERS,
    "rules_delete": WORKERS,
    "dead_letters_list": EVERYBODY,
    "dead_letters_export": EVERYBODY,
    "dead_letters_correct": WORKERS,
    "dead_letters_replay": WORKERS,
    "dead_letters_discard": WORKERS,
    "users_list": WATCHERS,
    "users_get": WATCHERS,
    "users_create": ADMINISTRATORS,
    "users_change": ADMINISTRATORS,
    "users_delete": ADMINISTRATORS,
    "keys_list": WATCHERS,
    "keys_create": ADMINISTRATORS,
    "keys_revoke": ADMINISTRATORS,
    "audit_list": WATCHERS,
    "retention_show": EVERYBODY,
    "retention_change": ADMINISTRATORS,
    "alerts_list": EVERYBODY,
    "alerts_create": ADMINISTRATORS,
    "alerts_delete": ADMINISTRATORS,
    "aws_access": EVERYBODY,
    "session_show": EVERYBODY,
    "session_password": EVERYBODY,
    "session_logout": EVERYBODY,
}


def permitted(role: Role, operation: str) -> bool:
    """Whether a role may do an operation."""
    return role in PERMITTED.get(operation, frozenset())
