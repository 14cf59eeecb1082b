"""`tieline mqtt-user`: who may connect to a deployment's broker, and to which topics."""

from __future__ import annotations

from typing import Annotated

import typer

from tieline.cli.connection import ApiKey, DeploymentKey, Json, State, Url, connect, the_deployment
from tieline.cli.output import show
from tieline.cli.user import Password, typed_password
from tieline.cloud.client import ClientError
from tieline.cloud.records import MqttUserView

app = typer.Typer(no_args_is_help=True, help="MQTT users: who may connect to a deployment's broker.")

COLUMNS = ("id", "name", "rules", "created")
Key = Annotated[str, typer.Argument(help="Id or name.")]
Rules = Annotated[
    list[str] | None,
    typer.Option("--rule", help="allow|deny:publish|subscribe|all:TOPIC; again for each, the first that fits decides."),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The user name that devices send.")],
    rule: Rules = None,
    password: Password = "",
    deployment: DeploymentKey = "",
    as_json: Json = False,
    url: Url = "",
    api_key: ApiKey = "",
    state: State = None,
) -> None:
    """Create an MQTT user; without rules every topic is allowed."""
    wanted = {"name": name, "password": typed_password(password), "rules": [_rule(text) for text in rule or []]}
    with connect(url, api_key, state) as client:
        show(client.create_mqtt_user(the_deployment(client, deployment), **wanted), COLUMNS, as_json)


@app.command("list")
def list_(
    deployment: DeploymentKey = "", as_json: Json = False, url: Url = "", api_key: ApiKey = "", state: State = None
) -> None:
    """List the MQTT users of a deployment."""
    with connect(url, api_key, state) as client:
        show(client.mqtt_users(the_deployment(client, deployment)), COLUMNS, as_json)


@app.command()
def change(
    key: Key,
    rule: Rules = None,
    new_password: Annotated[bool, typer.Option("--new-password", help="Set another password.")] = False,
    password: Password = "",
    deployment: DeploymentKey = "",
    as_json: Json = False,
    url: Url = "",
    api_key: ApiKey = "",
    state: State = None,
) -> None:
    """Change an MQTT user's rules or password; the broker ends the connections."""
    changes: dict[str, object] = {"rules": [_rule(text) for text in rule]} if rule else {}
    if new_password:
        changes["password"] = typed_password(password)
    with connect(url, api_key, state) as client:
        there = the_deployment(client, deployment)
        show(client.change(MqttUserView, "deployments", there, "mqtt-users", key, changes=changes), COLUMNS, as_json)


@app.command()
def delete(key: Key, deployment: DeploymentKey = "", url: Url = "", api_key: ApiKey = "", state: State = None) -> None:
    """Delete an MQTT user; the broker ends the connections."""
    with connect(url, api_key, state) as client:
        client.delete_mqtt_user(the_deployment(client, deployment), key)


def _rule(text: str) -> dict[str, str]:
    permission, _, rest = text.partition(":")
    action, _, topic = rest.partition(":")
    if permission not in ("allow", "deny") or action not in ("publish", "subscribe", "all") or not topic:
        raise ClientError("INVALID_RULE", f"{text!r} is no rule", "for example allow:publish:sensors/#")
    return {"permission": permission, "action": action, "topic": topic}
