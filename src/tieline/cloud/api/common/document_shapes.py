"""The shapes of a document: those of REST's requests, nested in their deployment; and their JSON Schema."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from tieline.cloud.deployments.service import NewDeployment
from tieline.cloud.links.service import NewLink
from tieline.cloud.model.records import PrivateLinkView
from tieline.cloud.resources.service import NewResource
from tieline.cloud.rules.service import NewRule
from tieline.cloud.schemas.answers import DeploymentAnswer, ResourceAnswer, RuleAnswer
from tieline.cloud.store.retention import RetentionChange

FROM_ENVIRONMENT: Final = "from_env"  # {from_env: NAME} stands for the value of an environment variable


class DeploymentDocument(NewDeployment):
    """A deployment and what should be in it. A section that is left out is not looked at; an empty one is empty."""

    private_links: tuple[NewLink, ...] | None = None
    resources: tuple[NewResource, ...] | None = None
    rules: tuple[NewRule, ...] | None = None


class Documents(BaseModel):
    """Everything that one file describes."""

    model_config = ConfigDict(extra="forbid")

    deployments: tuple[DeploymentDocument, ...] = Field(default=(), description="by name")
    retention: RetentionChange | None = Field(
        default=None, description="how long things are kept; not looked at where it is left out"
    )


#: The sections of a deployment in the order in which they are made; each rests on those before it.
SECTIONS: Final = ("private_links", "resources", "rules")

#: What records show beyond what a request takes: ignored in a document, so that an answer is one.
SHOWN: Final[dict[str, frozenset[str]]] = {
    "deployments": frozenset(DeploymentAnswer.model_fields) - frozenset(NewDeployment.model_fields),
    "private_links": frozenset(PrivateLinkView.model_fields) - frozenset(NewLink.model_fields),
    "resources": frozenset(ResourceAnswer.model_fields) - frozenset(NewResource.model_fields),
    "rules": frozenset(RuleAnswer.model_fields) - frozenset(NewRule.model_fields),
}

#: What cannot be changed on a record that is there.
FIXED: Final[dict[str, frozenset[str]]] = {
    "deployments": frozenset({"provider", "aws", "cidr", "zones", "mqtt"}),
    "private_links": frozenset({"service_name"}),
    "resources": frozenset({"type"}),
    "rules": frozenset(),
}

#: What is written and never shown.
WRITE_ONLY: Final = frozenset({"certificate"})


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document, for editors: any text may come from the environment."""
    made = Documents.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "tieline documents"
    for shape in made["$defs"].values():
        for name, field in shape.get("properties", {}).items():
            if field.get("type") == "string":
                shape["properties"][name] = {"anyOf": [field, {"$ref": f"#/$defs/{FROM_ENVIRONMENT}"}]}
    made["$defs"][FROM_ENVIRONMENT] = {
        "type": "object",
        "properties": {FROM_ENVIRONMENT: {"type": "string", "description": "name of an environment variable"}},
        "required": [FROM_ENVIRONMENT],
        "additionalProperties": False,
    }
    return made
