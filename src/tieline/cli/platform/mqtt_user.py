"""`tieline mqtt-user`: who may connect to a deployment's broker, and to which topics."""

from __future__ import annotations

from typing import Annotated

import typer

from tieline.cli.connection import DeploymentKey, Json, Key, connect, the_deployment
from tieline.cli.output import show
from tieline.cli.platform.user import Password, typed_password
from tieline.cli.supplied import supplied
from tieline.client.rest import Client, ClientError
from tieline.cloud.model.records import MqttUserView

app = typer.Typer(no_args_is_help=True, help="MQTT users: who may connect to a deployment's broker.")

COLUMNS = ("id", "name", "rules", "created")
Rules = Annotated[
    list[str] | None,
    typer.Option("--rule", help="allow|deny:publish|subscribe|all:TOPIC; again for each, the first that fits decides."),
]


@app.command()
@supplied(connect)
def create(
    client: Client,
    name: Annotated[str, typer.Argument(help="The user name that devices send.")],
    rule: Rules = None,
    password: Password = "",
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Create an MQTT user; without rules every topic is allowed."""
    wanted = {"name": name, "password": typed_password(password), "rules": [_rule(text) for text in rule or []]}
    show(client.create_mqtt_user(the_deployment(client, deployment), **wanted), COLUMNS, as_json)


@app.command("list")
@supplied(connect)
def list_(client: Client, deployment: DeploymentKey = "", as_json: Json = False) -> None:
    """List the MQTT users of a deployment."""
    show(client.mqtt_users(the_deployment(client, deployment)), COLUMNS, as_json)


@app.command()
@supplied(connect)
def change(
    client: Client,
    key: Key,
    rule: Rules = None,
    new_password: Annotated[bool, typer.Option("--new-password", help="Set another password.")] = False,
    password: Password = "",
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Change an MQTT user's rules or password; the broker ends the connections."""
    changes: dict[str, object] = {"rules": [_rule(text) for text in rule]} if rule else {}
    if new_password:
        changes["password"] = typed_password(password)
    there = the_deployment(client, deployment)
    show(client.change(MqttUserView, "deployments", there, "mqtt-users", key, changes=changes), COLUMNS, as_json)


@app.command()
@supplied(connect)
def delete(client: Client, key: Key, deployment: DeploymentKey = "") -> None:
    """Delete an MQTT user; the broker ends the connections."""
    client.delete_mqtt_user(the_deployment(client, deployment), key)


def _rule(text: str) -> dict[str, str]:
    permission, _, rest = text.partition(":")
    action, _, topic = rest.partition(":")
    if permission not in ("allow", "deny") or action not in ("publish", "subscribe", "all") or not topic:
        raise ClientError("INVALID_RULE", f"{text!r} is no rule", "for example allow:publish:sensors/#")
    return {"permission": permission, "action": action, "topic": topic}
