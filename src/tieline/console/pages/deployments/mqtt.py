"""The tab MQTT users: who may connect to a deployment's broker, and on which topics."""

from __future__ import annotations

from dataclasses import dataclass

from tieline.client.rest import Client, ClientError
from tieline.cloud.model.records import MqttUserView
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, View, words

SECONDS = 1.0
EXAMPLE = "One rule a line: allow publish sensors/1/#, or deny all secret/#. No rule: every topic."


@dataclass(frozen=True)
class Users:
    """The users of a broker; `problem` says why they could not be read."""

    users: tuple[MqttUserView, ...] = ()
    problem: str = ""


async def mqtt_users(view: Desk, deployment: str) -> None:
    """The list, and the form."""

    def read(client: Client) -> Users:
        try:
            return Users(tuple(client.mqtt_users(deployment)))
        except ClientError as error:
            return Users(problem=words(error))

    users = await view.beside(f"mqtt {deployment}", read, SECONDS)
    users.live(lambda now: now, lambda found: _list(view, users, deployment, found))
    _new(view, users, deployment)


def _list(view: Desk, users: View[Users], deployment: str, found: Users) -> None:
    with parts.card("MQTT users"):
        if found.problem:
            parts.problem(found.problem)
        elif not found.users:
            parts.say("There is none.", "muted")
        else:
            with parts.table(("Name", "Rules", "Since", ""), "MQTT users"):
                for user in found.users:
                    with parts.tag("tr"):
                        parts.tag("td", text=user.name)
                        with parts.tag("td"):
                            for rule in user.rules:
                                parts.say(f"{rule.permission} {rule.action} {rule.topic}")
                            if not user.rules:
                                parts.say("every topic", "muted")
                        parts.tag("td", "muted", parts.when(user.created))
                        with parts.tag("td"):
                            _delete(view, users, deployment, user)


def _delete(view: Desk, users: View[Users], deployment: str, user: MqttUserView) -> None:
    async def delete() -> None:
        text = "Its connections end. This cannot be undone."
        await view.remove("MQTT user", user.name, text, lambda client: client.delete_mqtt_user(deployment, user.id))
        users.source.hurry()

    parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete MQTT user {user.name}"')


def _new(view: Desk, users: View[Users], deployment: str) -> None:
    with parts.card("New MQTT user"):
        with parts.tag("div", "grid"):
            name = parts.field("Name of the MQTT user")
            password = parts.secret("Password")
        rules = parts.words("Rules on topics")
        parts.say(EXAMPLE, "muted")
        outcome = parts.stack()

        def refused(error: ClientError) -> None:
            outcome.clear()
            with outcome:
                parts.problem(words(error))

        async def create() -> None:
            outcome.clear()
            wanted = {"name": name.value.strip(), "password": password.value, "rules": topics(rules.value)}
            if await view.act(lambda client: client.create_mqtt_user(deployment, **wanted), refused):
                name.value = password.value = rules.value = ""
            users.source.hurry()

        with parts.row():
            parts.button("Create MQTT user", create)


def topics(text: str | None) -> list[dict[str, str]]:
    """The rules that are typed, one a line; what is no rule is left to REST to refuse."""
    found = []
    for line in filter(str.strip, (text or "").splitlines()):
        permission, _, rest = line.strip().partition(" ")
        action, _, topic = rest.strip().partition(" ")
        found.append({"permission": permission, "action": action, "topic": topic.strip()})
    return found
