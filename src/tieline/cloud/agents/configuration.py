"""A deployment's records as the one configuration that its agent runs: pure but for opening the vault."""

from __future__ import annotations

from collections.abc import Sequence

from tieline.agent.brokers.settings import ANY_ORIGIN, LISTENERS, Access, Listener, Remote, Settings, Tls, User
from tieline.agent.protocol import Configure
from tieline.base.secrets import Vault
from tieline.cloud.deployments.boot import MQTTS_PORT, WEBSOCKET_PORT
from tieline.cloud.model.records import Deployment, MqttUser, PrivateLink, Resource, Rule
from tieline.cloud.resources.addresses import networks
from tieline.cloud.resources.service import to_config
from tieline.cloud.rules.service import to_action
from tieline.cloud.store.repository import Repository
from tieline.integration.config import shapes as config
from tieline.integration.messages.events import PREFIX


def configure(records: Repository, vault: Vault, deployment: Deployment, allowed: Sequence[str] = ()) -> Configure:
    """Everything that a deployment's agent must know now; `allowed` is what the operator lets resources name."""
    links = records.all(PrivateLink, lambda link: link.deployment == deployment.id)
    resources = records.all(Resource, lambda resource: resource.deployment == deployment.id)
    rules = records.all(Rule, lambda rule: rule.deployment == deployment.id)
    ids = {resource.name: resource.id for resource in resources}
    return Configure(
        broker=broker(records, vault, deployment) if deployment.wanted == "running" else None,
        workers=deployment.workers,
        config=config.Config(
            version=deployment.revision,
            metrics_minutes=records.retention().metrics_minutes,
            resources=tuple(to_config(resource, vault, links) for resource in resources),
            rules=tuple(to_rule(rule, ids) for rule in rules),
            reach=config.Reach(loopback=deployment.joined_by_hand, allowed=networks(allowed)),
        ),
    )


def broker(records: Repository, vault: Vault, deployment: Deployment) -> Settings | Remote:
    """The deployment's own broker, or the one that its owner brought."""
    remote = deployment.remote
    if remote is None:
        return settings(records, vault, deployment)
    return Remote(**remote.model_dump(), password=vault.decrypt(deployment.remote_password))


def settings(records: Repository, vault: Vault, deployment: Deployment) -> Settings:
    """What the deployment's own broker is to be."""
    users = records.all(MqttUser, lambda user: user.deployment == deployment.id)
    inside, tls, websocket = deployment.broker, None, None
    fabric = not deployment.joined_by_hand
    if deployment.mqtts:
        place = inside.model_copy(update={"port": MQTTS_PORT}) if fabric else deployment.mqtts
        key = vault.decrypt(deployment.tls_key)
        tls = Tls(host=place.host, port=place.port, certificate=deployment.certificate, key=key)
    if deployment.websocket:
        place = inside.model_copy(update={"port": WEBSOCKET_PORT}) if fabric else deployment.websocket
        websocket = Listener(host=place.host, port=place.port)
    opened = without_user(deployment, bool(users))
    return Settings(
        mqtt=Listener(host=inside.host, port=inside.port),
        tls=tls,
        websocket=websocket,
        users=tuple(to_user(user, vault) for user in users),
        anonymous=opened == listeners(deployment),
        anonymous_on=() if opened == listeners(deployment) else opened,
        origins=(ANY_ORIGIN,) if deployment.websocket_origins is None else deployment.websocket_origins,
        events=any(PREFIX in rule.sql for rule in records.all(Rule, lambda rule: rule.deployment == deployment.id)),
    )


def without_user(deployment: Deployment, has_users: bool) -> tuple[str, ...]:
    """The listeners of the platform's broker that devices may use without a user."""
    wanted, present = deployment.anonymous, listeners(deployment)
    if isinstance(wanted, tuple):
        return tuple(name for name in present if name in wanted)
    return present if wanted or (wanted is None and not has_users) else ()


def listeners(deployment: Deployment) -> tuple[str, ...]:
    """The listeners that a deployment's broker has; none is the platform's where its owner brought the broker."""
    if deployment.remote is not None:
        return ()
    places = (deployment.mqtt, deployment.mqtts, deployment.websocket)
    return tuple(name for name, place in zip(LISTENERS, places, strict=True) if place)


def to_user(user: MqttUser, vault: Vault) -> User:
    """The MQTT user as the broker needs it."""
    rules = tuple(Access(topic=rule.topic, action=rule.action, allow=rule.permission == "allow") for rule in user.rules)
    return User(name=user.name, password=vault.decrypt(user.password), rules=rules)


def to_rule(rule: Rule, resources: dict[str, str]) -> config.Rule:
    """The rule as the agent needs it; `resources` are ids by name."""
    actions = tuple(to_action(action, number, resources, rule.id) for number, action in enumerate(rule.actions))
    return config.Rule(id=rule.id, name=rule.name, sql=rule.sql, actions=actions, enable=rule.enable)
