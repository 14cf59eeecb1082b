"""Sessions: who may assume an account's role, what a session may do, how long it lasts."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from fabric.worlds import START, Account, Fabric
from tieline.fabric.aws.errors import AwsError
from tieline.fabric.daemon.dispatch import key_lookup
from tieline.fabric.records import AccessKey
from tieline.fabric.records import Account as AccountRecord


@pytest.fixture
def fabric() -> Fabric:
    return Fabric()


def role(account: Account) -> str:
    return f"arn:aws:iam::{account.id}:role/tieline-admin"


def session(caller: Account, target: Account, **more: object) -> Account:
    made = caller("sts", "AssumeRole", RoleArn=role(target), RoleSessionName="night-shift", **more)
    key = caller.fabric.world.get(AccessKey, made["Credentials"]["AccessKeyId"])
    assert key is not None
    return Account(caller.fabric, key)


def trust(fabric: Fabric, account: Account, *arns: str) -> None:
    with fabric.world.transaction():
        record = fabric.world.get(AccountRecord, account.id)
        assert record is not None
        fabric.world.put(msgspec.structs.replace(record, trusted=arns))


def test_a_session_acts_for_the_account_under_the_roles_name(fabric: Fabric) -> None:
    acting = session(fabric.customer, fabric.customer)
    assert acting("sts", "GetCallerIdentity")["Arn"] == (
        f"arn:aws:sts::{fabric.customer.id}:assumed-role/tieline-admin/night-shift"
    )
    vpc = acting.ec2("CreateVpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    assert fabric.customer.ec2("DescribeVpcs", VpcIds=[vpc])["Vpcs"][0]["OwnerId"] == fabric.customer.id


@pytest.mark.parametrize("who", ["arn:aws:iam::{}:root", "arn:aws:iam::{}:user/platform", "*"])
def test_another_account_assumes_a_role_only_when_it_is_trusted(fabric: Fabric, who: str) -> None:
    refused = {"RoleArn": role(fabric.customer), "RoleSessionName": "s"}
    message = fabric.platform.refused("AccessDenied", "sts", "AssumeRole", **refused)
    assert "is not authorized to perform: sts:AssumeRole" in message
    trust(fabric, fabric.customer, who.format(fabric.platform.id))
    acting = session(fabric.platform, fabric.customer)
    assert acting("sts", "GetCallerIdentity")["Account"] == fabric.customer.id
    if who != "*":
        fabric.other.refused("AccessDenied", "sts", "AssumeRole", **refused)


def test_an_unknown_role_looks_like_a_forbidden_one(fabric: Fabric) -> None:
    for arn in (f"arn:aws:iam::{fabric.customer.id}:role/other-name", "arn:aws:iam::000000000000:role/tieline-admin"):
        fabric.customer.refused("AccessDenied", "sts", "AssumeRole", RoleArn=arn, RoleSessionName="s")


def test_a_permission_for_the_role_admits_its_sessions_and_not_the_user(fabric: Fabric) -> None:
    vpc, subnets = fabric.customer.network()
    service, name = fabric.customer.service(fabric.customer.balancer(vpc, subnets))
    principals = [role(fabric.platform)]
    fabric.customer.ec2("ModifyVpcEndpointServicePermissions", ServiceId=service, AddAllowedPrincipals=principals)
    fabric.platform.refused("InvalidServiceName", "ec2", "DescribeVpcEndpointServices", ServiceNames=[name])
    acting = session(fabric.platform, fabric.platform)
    assert acting.ec2("DescribeVpcEndpointServices", ServiceNames=[name])["ServiceNames"] == [name]


def test_a_session_of_a_session_lasts_an_hour_at_most(fabric: Fabric) -> None:
    acting = session(fabric.customer, fabric.customer, DurationSeconds=43200)
    arguments = {"RoleArn": role(fabric.customer), "RoleSessionName": "s", "DurationSeconds": 3601}
    assert "role chaining" in acting.refused("ValidationError", "sts", "AssumeRole", **arguments)
    acting.refused("AccessDenied", "sts", "GetSessionToken")


def test_an_expired_session_is_told_so_and_then_forgotten(fabric: Fabric) -> None:
    made = fabric.customer("sts", "GetSessionToken", DurationSeconds=900)["Credentials"]
    assert made["Expiration"] == START + timedelta(minutes=15)
    lookup = key_lookup(fabric.world)
    fabric.pass_time(minutes=30)
    credential = lookup(made["AccessKeyId"])
    assert credential is not None and credential.session_token == made["SessionToken"]
    fabric.pass_time(hours=2)
    assert lookup(made["AccessKeyId"]) is None
    assert lookup(fabric.customer.credential.access_key) is not None


def test_what_a_session_cannot_be_narrowed_to_is_refused(fabric: Fabric) -> None:
    with pytest.raises(AwsError, match="does not support the parameter Policy"):
        session(fabric.customer, fabric.customer, Policy="{}")
