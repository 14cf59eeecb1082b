"""What people ask of MQTT users: a name, a password, and rules on topics."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from tieline.agent.brokers.access import INTERNAL
from tieline.agent.brokers.settings import AGENT
from tieline.base.secrets import Vault, new_id
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.problems import name_taken
from tieline.cloud.model.records import AccessRule, Deployment, MqttUser
from tieline.cloud.store.repository import Repository

MOST_RULES = 100
NOBODYS = frozenset(topic.removesuffix("/#") for topic in INTERNAL)


def valid_filter(rule: AccessRule) -> AccessRule:
    """The rule; raises ValueError where its topic is no filter (MQTT 5, 4.7.1)."""
    levels = rule.topic.split("/")
    if "\0" in rule.topic:
        raise ValueError("a topic holds no null character")
    if any("#" in level and (level != "#" or place < len(levels) - 1) for place, level in enumerate(levels)):
        raise ValueError("# stands alone, on the last level")
    if any("+" in level and level != "+" for level in levels):
        raise ValueError("+ stands alone on its level")
    first = levels[2] if levels[0] == "$share" and len(levels) > 2 else levels[0]
    if rule.permission == "allow" and first in NOBODYS:
        raise ValueError(f"no user is allowed {first}: the broker tells and takes there what concerns all clients")
    return rule


UserName = Annotated[str, Field(pattern=r"^[0-9a-zA-Z][-0-9a-zA-Z_.@:]*$", max_length=128, examples=["device-1"])]
Rules = Annotated[tuple[Annotated[AccessRule, AfterValidator(valid_filter)], ...], Field(max_length=MOST_RULES)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=1000, examples=["a long random text"])]


class NewMqttUser(BaseModel):
    """An MQTT user to create."""

    model_config = ConfigDict(extra="forbid")

    name: UserName
    password: Password
    rules: Rules = ()


class MqttUserChange(BaseModel):
    """What to change about an MQTT user; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    password: Password | None = None
    rules: Rules | None = None


def users_of(records: Repository, deployment: Deployment) -> list[MqttUser]:
    """The MQTT users of a deployment."""
    return records.all(MqttUser, lambda user: user.deployment == deployment.id)


def create_mqtt_user(records: Repository, vault: Vault, deployment: Deployment, wanted: NewMqttUser) -> MqttUser:
    """Record an MQTT user; raises PlatformError with nothing changed."""
    taken = [AGENT, *(user.name for user in users_of(records, deployment))]
    if wanted.name in taken:
        raise name_taken("MQTT user", wanted.name)
    user = MqttUser(
        id=new_id("mu"),
        deployment=deployment.id,
        name=wanted.name,
        password=vault.encrypt(wanted.password.get_secret_value()),
        rules=wanted.rules,
        created=timestamp(time.time()),
    )
    records.commit(write=[user])
    return user


def change_mqtt_user(records: Repository, vault: Vault, user: MqttUser, wanted: MqttUserChange) -> MqttUser:
    """Change password or rules; the broker ends the user's connections."""
    changed = user
    if wanted.rules is not None:
        changed = changed.model_copy(update={"rules": wanted.rules})
    if wanted.password is not None and wanted.password.get_secret_value() != vault.decrypt(user.password):
        changed = changed.model_copy(update={"password": vault.encrypt(wanted.password.get_secret_value())})
    if changed != user:
        records.commit(write=[changed])
    return records.get(MqttUser, user.id) or changed
