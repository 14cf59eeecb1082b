"""The printed IAM policies allow what the code sends, action by action, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import botocore.session
import pytest

from tieline.client.provider.policies import Policy, platform_policy, provider_policy, trust_policy

SOURCE = Path(__file__).resolve().parents[2] / "src" / "tieline"
PLATFORM = ["cloud/links", "cloud/aws/zones.py", "cloud/deployments/existing.py"]
PROVIDER = ["client/connect", "client/provider", "cloud/aws/zones.py", "cli/privatelink/service.py"]
CALL = re.compile(r"\b(ec2|elb|cloudwatch)\s*\.(?:get_paginator\(\s*\"(\w+)\"|([a-z_0-9]+)\()")
SERVICES = {
    "ec2": ("ec2", "ec2"),
    "elb": ("elbv2", "elasticloadbalancing"),
    "cloudwatch": ("cloudwatch", "cloudwatch"),
}
TAGGING = {"ec2:CreateTags", "elasticloadbalancing:AddTags"}  # sent as a part of the creation, and judged apart
SIZE = 6144  # characters without white space: the limit of a managed policy (IAM quotas)


def sent(*places: str) -> set[str]:
    """The actions of all calls in these sources."""
    session = botocore.session.Session()
    names: dict[tuple[str, str], str] = {}
    for short, (service, prefix) in SERVICES.items():
        client = session.create_client(service, "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        methods = client.meta.method_to_api_mapping
        names |= {(short, method): f"{prefix}:{operation}" for method, operation in methods.items()}
        client.close()
    found: set[str] = set()
    for place in places:
        path = SOURCE / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for short, paged, method in CALL.findall(file.read_text()):
                if (paged or method) not in ("get_paginator", "close"):
                    found.add(names[short, paged or method])
    return found


def allowed(policy: Policy) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


@pytest.mark.parametrize(
    ("policy", "places"),
    [(platform_policy(), PLATFORM), (provider_policy(), PROVIDER)],
    ids=["platform", "provider"],
)
def test_it_allows_what_is_sent_and_no_more(policy: Policy, places: list[str]) -> None:
    assert allowed(policy) - TAGGING == sent(*places)
    assert len(re.sub(r"\s", "", json.dumps(policy))) <= SIZE


@pytest.mark.parametrize("policy", [platform_policy(), provider_policy()], ids=["platform", "provider"])
def test_what_changes_anything_is_bound(policy: Policy) -> None:
    for statement in policy["Statement"]:
        looks = all(re.match(r"\w+:(Describe|List|GetMetricData)", action) for action in statement["Action"])
        assert looks or statement["Resource"] != ["*"]
        assert looks or "Condition" in statement or statement["Sid"] == "MakeEndpointsIn"


def test_a_role_is_for_one_project() -> None:
    [statement] = trust_policy("arn:aws:iam::111122223333:root", "tieline-1")["Statement"]
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": "tieline-1"}}
