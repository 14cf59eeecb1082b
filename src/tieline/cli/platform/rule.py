"""`tieline rule`: which messages are taken, what is made of them, and where it goes."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from tieline.cli.connection import (
    DeploymentKey,
    Json,
    Key,
    NewName,
    connect,
    the_deployment,
    with_names,
)
from tieline.cli.output import details, print_json, show
from tieline.cli.supplied import given, supplied
from tieline.client.rest import Client, ClientError
from tieline.cloud.schemas.answers import RuleAnswer

app = typer.Typer(no_args_is_help=True, help="Rules: which messages are taken, and where they go.")

COLUMNS = ("id", "name", "status", "reason", "sql", "actions")
Target = Annotated[str, typer.Option("--resource", help="Where each result goes.")]
Template = Annotated[str, typer.Option(help="The resource's SQL statement, with ${field}s.")]
Actions = Annotated[
    list[str] | None,
    typer.Option("--action", help='Another action, as JSON: {"kind": "redis", "resource": …, …}.'),
]


@app.command()
@supplied(connect)
def create(
    client: Client,
    name: NewName,
    sql: Annotated[str, typer.Option(help='SELECT … FROM "topic" [WHERE …].')],
    resource: Target = "",
    template: Template = "",
    action: Actions = None,
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Create a rule."""
    actions = _actions(resource, template, action)
    rule = client.create_rule(the_deployment(client, deployment), name=name, sql=sql, actions=actions)
    show(rule, COLUMNS, as_json)


@app.command()
@supplied(connect)
def change(
    client: Client,
    key: Key,
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
    sql: Annotated[str | None, typer.Option(help='SELECT … FROM "topic" [WHERE …].')] = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it takes messages; rows that wait are written.")
    ] = None,
    resource: Target = "",
    template: Template = "",
    action: Actions = None,
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Change a rule; what is not named stays. Actions that are named replace all that it has."""
    changes = given(name=name, sql=sql, enable=enable, actions=_actions(resource, template, action) or None)
    where = ("deployments", the_deployment(client, deployment), "rules", key)
    show(client.change(RuleAnswer, *where, changes=changes), COLUMNS, as_json)


@app.command("list")
@supplied(connect)
def list_(client: Client, deployment: DeploymentKey = "", as_json: Json = False) -> None:
    """List the rules of a deployment, or of all where none is named."""
    found = client.rules(deployment) if deployment else client.all_rules()
    show(with_names(client, found, as_json), ("deployment", *COLUMNS), as_json)


@app.command("show")
@supplied(connect)
def show_(
    client: Client,
    key: Key,
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Show one rule."""
    details(client.rule(the_deployment(client, deployment), key), as_json)


@app.command()
@supplied(connect)
def test(
    client: Client,
    sql: Annotated[str, typer.Option(help="The rule to try.")],
    payload: Annotated[str, typer.Option(help="The sample message's payload.")],
    topic: Annotated[str | None, typer.Option(help="Its topic.")] = None,
    context: Annotated[str, typer.Option(help="Further fields of the message, as a JSON object.")] = "{}",
    deployment: DeploymentKey = "",
) -> None:
    """Print what a rule makes of a sample message; exit status 1 where it does not match."""
    sample = {**_object("--context", context, '{"qos": 1}'), **given(payload=payload, topic=topic)}
    print_json(client.test_rule(the_deployment(client, deployment), sql=sql, context=sample))


@app.command()
@supplied(connect)
def delete(client: Client, key: Key, deployment: DeploymentKey = "") -> None:
    """Delete a rule."""
    client.delete_rule(the_deployment(client, deployment), key)


def _actions(resource: str, template: str, others: list[str] | None) -> list[dict[str, Any]]:
    """The actions that were typed: the statement for a database first."""
    first = [{"kind": "sql", "resource": resource, "sql": template}] if resource or template else []
    return [*first, *(_object("--action", text, '{"kind": "republish", "topic": "alarms"}') for text in others or [])]


def _object(option: str, text: str, example: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ClientError("INVALID_OPTION", f"{option} is no JSON: {error}", f"for example {example}") from error
    if not isinstance(found, dict):
        raise ClientError("INVALID_OPTION", f"{option} is no JSON object", f"for example {example}")
    return found
