"""DryRun on every operation of EC2: it is checked as the real call would be, and nothing changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fabric.aws.operations.scene import SERVED, Scene, model
from fabric.aws.operations.test_accounts_apart import FOREIGN
from tieline.fabric.aws.protocol.errors import AwsError

WITHOUT_IDS: dict[str, dict[str, Any]] = {"CreateVpc": {"CidrBlock": "10.1.0.0/16"}, "DescribeTags": {}}
REFUSED = {  # what the scene's own state rightly keeps from happening, as a call without DryRun would show
    "DeleteVpc": "DependencyViolation",
    "DeleteSubnet": "DependencyViolation",
    "DeleteNetworkInterface": "InvalidNetworkInterface.InUse",
    "CreateVpcEndpointServiceConfiguration": "InvalidParameter",  # the balancer has a service already
    "StartVpcEndpointServicePrivateDnsVerification": "InvalidParameter",  # it has no private name
    "RevokeSecurityGroupEgress": "InvalidPermission.NotFound",  # the rule is of the other direction
    "StopInstances": "UnsupportedOperation",
}


def takes_dry_runs(service: str, operation: str) -> bool:
    shape = model(service, operation).input_shape
    return service == "ec2" and shape is not None and "DryRun" in shape.members


OPERATIONS = [name for service, name in SERVED if takes_dry_runs(service, name)]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_dry_run_changes_nothing_and_says_what_would_have_been(scene: Scene, operation: str) -> None:
    for template in [WITHOUT_IDS[operation]] if operation in WITHOUT_IDS else FOREIGN.get(operation, [{}]):
        text = json.dumps(template)
        for kind, id in scene.ids.items():
            text = text.replace(f"{{{kind}}}", id)
        theirs = "endpoint}" in json.dumps(template) and "service}" not in json.dumps(template)
        account = scene.fabric.platform if theirs else scene.fabric.customer
        before = scene.fabric.dump()
        with pytest.raises(AwsError) as refusal:
            account.ec2(operation, **json.loads(text), DryRun=True)
        assert refusal.value.code in ("DryRunOperation", REFUSED.get(operation)), refusal.value
        assert refusal.value.status == (412 if refusal.value.code == "DryRunOperation" else 400)
        assert scene.fabric.dump() == before
