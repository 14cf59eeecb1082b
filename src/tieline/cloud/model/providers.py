"""Where a deployment can be: the providers, and the AWS account of one that is in somebody's VPC."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: In a network that the platform makes, in one that exists in some account, or anywhere at all.
Provider = Literal["fabric", "aws", "external"]

ROLE_PATTERN = r"^(arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+)?$"
EXAMPLE_ROLE = "arn:aws:iam::111122223333:role/tieline-platform"


class AwsAccount(BaseModel):
    """Which account a deployment is in. Neither profile nor role: the platform's own."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    profile: str = Field(
        default="", max_length=100, description="of the platform's AWS configuration, as its operator allows"
    )
    role: str = Field(
        default="", max_length=200, pattern=ROLE_PATTERN, description="to assume", examples=[EXAMPLE_ROLE]
    )
    region: str = Field(default="", max_length=30, pattern=r"^[a-z0-9-]*$", description="the platform's by default")
    security_groups: tuple[str, ...] = Field(
        default=(), max_length=16, description="of the endpoints; the VPC's default group where none is given"
    )


class DeploymentAccount(AwsAccount):
    """The account of a deployment, with what the role's trust policy can demand of us."""

    external_id: str = Field(default="", description="sent as sts:ExternalId; the same for all of a project")
