"""A deployment's records as the one configuration that its agent runs: pure but for opening the vault."""

from __future__ import annotations

from tieline.cloud.protocol import Configure
from tieline.cloud.records import Deployment, PrivateLink, Resource, Rule
from tieline.cloud.repository import Repository
from tieline.cloud.resources import to_config
from tieline.cloud.rules import to_action
from tieline.cloud.secrets import Vault
from tieline.integration import config


def configure(records: Repository, vault: Vault, deployment: Deployment) -> Configure:
    """Everything that a deployment's agent must know now."""
    links = records.all(PrivateLink, lambda link: link.deployment == deployment.id)
    resources = records.all(Resource, lambda resource: resource.deployment == deployment.id)
    rules = records.all(Rule, lambda rule: rule.deployment == deployment.id)
    ids = {resource.name: resource.id for resource in resources}
    return Configure(
        host=deployment.broker.host,
        port=deployment.broker.port,
        config=config.Config(
            version=deployment.revision,
            resources=tuple(to_config(resource, vault, links) for resource in resources),
            rules=tuple(to_rule(rule, ids) for rule in rules),
        ),
    )


def to_rule(rule: Rule, resources: dict[str, str]) -> config.Rule:
    """The rule as the agent needs it; `resources` are ids by name."""
    actions = tuple(to_action(action, number, resources, rule.id) for number, action in enumerate(rule.actions))
    return config.Rule(id=rule.id, name=rule.name, sql=rule.sql, actions=actions, enable=rule.enable)
