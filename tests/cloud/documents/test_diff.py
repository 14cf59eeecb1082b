"""Documents against records: what is planned, in which order, and what is refused before anything changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tieline.client.documents.diff import Change, Present, diff
from tieline.client.documents.read import read
from tieline.cloud.api.common.document_shapes import Documents
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import MASK
from tieline.cloud.store.retention import RetentionView

SERVICE = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"
TEXT = f"""
deployments:
  - name: plant
    zones: [use1-az1]
    private_links:
      - {{name: orders, service_name: {SERVICE}, ports: [5432]}}
    resources:
      - {{name: db, type: postgresql, server: "link:orders:5432", database: d, username: u, password: {{from_env: PW}}}}
    rules:
      - name: warm
        sql: SELECT * FROM "a/#"
        actions: [{{resource: db, sql: "insert into t(a) values (${{payload.a}})"}}]
"""
RECORDS: dict[str, dict[str, dict[str, Any]]] = {
    "private_links": {"orders": {"name": "orders", "service_name": SERVICE, "ports": [5432], "status": "running"}},
    "resources": {
        "db": {
            "name": "db",
            "type": "postgresql",
            "server": "link:orders:5432",
            "database": "d",
            "username": "u",
            "password": MASK,
        }
    },
    "rules": {
        "warm": {
            "name": "warm",
            "sql": 'SELECT * FROM "a/#"',
            "actions": [{"kind": "sql", "resource": "db", "sql": "insert into t(a) values (${payload.a})"}],
            "enable": True,
        }
    },
}
DEPLOYMENT = {"name": "plant", "provider": "fabric", "subnets": [{"id": "subnet-1", "zone": "use1-az1"}]}


def documents(text: str = TEXT) -> Documents:
    return read([("links.yaml", text)], {"PW": "secret"})


def present(**sections: dict[str, dict[str, Any]]) -> dict[str, Present]:
    return {"plant": Present(DEPLOYMENT, {**RECORDS, **sections})}


def words(changes: tuple[Change, ...]) -> list[str]:
    return [str(change) for change in changes]


def test_from_nothing_everything_is_made_in_the_order_of_what_rests_on_what() -> None:
    changes = diff(documents(), {}, prune=True)
    assert [(one.action, one.section) for one in changes] == [
        ("create", "deployments"),
        ("create", "private_links"),
        ("create", "resources"),
        ("create", "rules"),
    ]
    assert changes[0].body == {"name": "plant", "zones": ["use1-az1"]}
    assert changes[2].body["password"] == "secret"


def test_what_is_there_already_needs_nothing_and_a_secret_is_written_on_demand() -> None:
    assert diff(documents(), present(), prune=True) == ()
    [change] = diff(documents(), present(), prune=True, rotate=True)
    assert (change.section, change.body) == ("resources", {"password": "secret"})


def test_what_differs_is_changed_and_named_without_its_values() -> None:
    other = {"db": {**RECORDS["resources"]["db"], "username": "nobody"}}
    changes = diff(documents(), present(resources=other), prune=False)
    assert words(changes) == ["update resource db of plant: password, username"]
    assert changes[0].body == {"username": "u", "password": "secret"}


@pytest.mark.parametrize(
    ("section", "changed"), [("resources", {"type": "redis"}), ("private_links", {"service_name": SERVICE + "1"})]
)
def test_what_cannot_be_changed_is_refused(section: str, changed: dict[str, str]) -> None:
    [(name, record)] = RECORDS[section].items()
    with pytest.raises(PlatformError) as refused:
        diff(documents(), present(**{section: {name: {**record, **changed}}}), prune=False)
    assert refused.value.code == "CANNOT_CHANGE"
    assert next(iter(changed)) in refused.value.message


def test_a_failed_link_is_reconnected_also_to_a_new_service() -> None:
    failed = {**RECORDS["private_links"]["orders"], "status": "failed", "reason": "service_removed"}
    moved = {"orders": {**failed, "service_name": SERVICE + "1"}}
    [change] = diff(documents(), present(private_links=moved), prune=False)
    assert (change.action, change.body) == ("reconnect", {"service_name": SERVICE, "ports": [5432]})


def test_what_no_document_names_is_deleted_only_on_demand_and_only_in_sections_that_are_there() -> None:
    text = "deployments: [{name: plant, rules: [], resources: []}]"
    assert diff(documents(text), present(), prune=False) == ()
    both = {**present(), "other": Present({"name": "other"})}
    assert words(diff(documents(text), both, prune=True)) == [
        "delete rule warm of plant",
        "delete resource db of plant",
        "delete deployment other",
    ]


def test_answers_are_documents() -> None:
    """What `--json` prints has more than a request: the rest is not looked at."""
    shown = '[{"name": "plant", "id": "dep-1", "status": "running", "history": [], "agent": {}, "revision": 3}]'
    assert documents(shown).deployments[0].model_dump(exclude_unset=True) == {"name": "plant"}


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("deployments: [", "INVALID_YAML", "links.yaml"),
        ("just a text", "INVALID_DOCUMENT", "expected deployments"),
        ("deployments: [{name: a, colour: red}]", "INVALID_DOCUMENT", "deployments.0.colour"),
        ("deployments: [{name: 'a b'}]", "INVALID_DOCUMENT", "deployments.0.name"),
        ("deployments: [{name: a}, {name: a}]", "DUPLICATE_NAME", "a is there more than once"),
        (TEXT.replace("from_env: PW", "from_env: NOWHERE"), "NO_VARIABLE", "NOWHERE"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place(text: str, code: str, word: str) -> None:
    with pytest.raises(PlatformError) as refused:
        documents(text)
    assert refused.value.code == code
    assert word in refused.value.message
    assert "secret" not in refused.value.message


REMOTE = {"host": "emqx.example.com", "port": 8883, "username": "w", "tls": True}
ACCOUNT = {"profile": "plant", "role": "", "region": "", "security_groups": []}
NETWORK = {**ACCOUNT, "vpc": "vpc-0123456789abcdef0", "subnets": ["subnet-1", "subnet-2"]}
SHOWN = {
    "name": "far",
    "provider": "aws",
    "cidr": "",
    "aws": {**ACCOUNT, "external_id": ""},
    "vpc": NETWORK["vpc"],
    "subnets": [{"id": "subnet-2", "zone": "use1-az1"}, {"id": "subnet-1", "zone": "use1-az2"}],
    "mqtt": {"host": REMOTE["host"], "port": REMOTE["port"]},
    "remote": REMOTE,
}


def asked(**changed: Any) -> Documents:
    body = {"name": "far", "provider": "aws", "aws": NETWORK, "broker": {**REMOTE, "password": "secret"}, **changed}
    return read([("links.yaml", json.dumps(body))], {})


def test_a_deployment_elsewhere_is_as_it_was_asked_for() -> None:
    there = {"far": Present(SHOWN)}
    assert diff(asked(), there, prune=False) == ()
    assert diff(asked(aws={"vpc": NETWORK["vpc"], "subnets": ["subnet-2", "subnet-1"]}), there, prune=False) == ()
    assert diff(read([("shown.json", json.dumps({"deployments": [SHOWN]}))], {}), there, prune=False) == ()


def test_a_broker_moves_and_a_network_does_not() -> None:
    there = {"far": Present(SHOWN)}
    [change] = diff(asked(broker={**REMOTE, "port": 8884, "password": "secret"}), there, prune=False)
    assert (change.action, change.fields) == ("update", ("broker",))
    assert change.body["broker"]["password"] == "secret"
    [rotated] = diff(asked(), there, prune=False, rotate=True)
    assert rotated.fields == ("broker",)
    with pytest.raises(PlatformError) as refused:
        diff(asked(aws={**NETWORK, "vpc": "vpc-0fedcba9876543210"}), there, prune=False)
    assert refused.value.code == "CANNOT_CHANGE"


def test_retention_is_compared_and_prunes_nothing() -> None:
    kept = RetentionView(audit_days=90, history_entries=7)
    wanted = documents("retention: {audit_days: 365, history_entries: null, metrics_minutes: 60}")
    [change] = diff(wanted, present(), prune=True, kept=kept)
    assert change.body == {"audit_days": 365, "history_entries": 50}
    assert str(change) == "update retention: audit_days, history_entries"
    assert diff(wanted, present(), prune=True, kept=RetentionView(audit_days=365)) == ()
    assert diff(documents(), present(), prune=True, kept=kept) == ()  # not looked at where it is left out


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("retention: {audit_days: 7}", "INVALID_DOCUMENT"),
        ("retention: {years: 1}", "INVALID_DOCUMENT"),
        ("retention: {audit_days: 0}\n---\naudit_days: 30", "DUPLICATE_NAME"),
    ],
)
def test_a_retention_that_cannot_be_is_refused(text: str, code: str) -> None:
    with pytest.raises(PlatformError) as refused:
        documents(text)
    assert refused.value.code == code
