"""Sessions: who may assume an account's role, what a session may do, how long it lasts."""

from __future__ import annotations

import random
from datetime import timedelta

import msgspec
import pytest

from fabric.worlds import START, Account, Fabric
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.core.ids import Ids
from tieline.fabric.core.records import AccessKey
from tieline.fabric.core.records import Account as AccountRecord
from tieline.fabric.daemon import accounts
from tieline.fabric.daemon.dispatch import key_lookup


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


def works(acting: Account) -> bool:
    """Whether a session's key signs at this moment, as `verify` decides it."""
    found = key_lookup(acting.fabric.world)(acting.credential.access_key)
    return found is not None and (found.expires is None or acting.fabric.now < found.expires)


def key(fabric: Fabric, id: str) -> AccessKey:
    found = fabric.world.get(AccessKey, id)
    assert found is not None
    return found


def distrust(fabric: Fabric, account: Account, arn: str) -> None:
    record = fabric.world.get(AccountRecord, account.id)
    assert record is not None
    accounts.trust(fabric.world, record, arn, withdraw=True)


def test_withdrawn_trust_ends_every_session_that_came_of_it_and_no_other(fabric: Fabric) -> None:
    root = f"arn:aws:iam::{fabric.platform.id}:root"
    trust(fabric, fabric.customer, root, f"arn:aws:iam::{fabric.other.id}:root")
    first = session(fabric.platform, fabric.customer)
    renewed = session(first, fabric.customer)
    again = session(renewed, fabric.customer)
    own, others = session(fabric.customer, fabric.customer), session(fabric.other, fabric.customer)
    distrust(fabric, fabric.customer, root)
    assert not any(map(works, (first, renewed, again)))
    assert works(own) and works(others) and works(fabric.platform)


def test_a_session_asks_again_and_again_and_ends_with_the_first(fabric: Fabric) -> None:
    acting = session(fabric.customer, fabric.customer, DurationSeconds=3600)
    for _ in range(30):
        fabric.now += timedelta(minutes=1)
        acting = session(acting, fabric.customer)
    assert acting.credential.expires == START + timedelta(hours=1)
    fabric.now = START + timedelta(hours=1)
    assert not works(acting)


@pytest.mark.parametrize("call", ["AssumeRole", "GetSessionToken"])
def test_after_a_rotation_nothing_outlives_the_grace(fabric: Fabric, call: str) -> None:
    trust(fabric, fabric.customer, f"arn:aws:iam::{fabric.platform.id}:root")
    abroad = session(fabric.platform, fabric.customer, DurationSeconds=43200)
    record = fabric.world.get(AccountRecord, fabric.platform.id)
    assert record is not None
    new = accounts.rotate(fabric.world, record, timedelta(minutes=10), Ids(random.Random(1)), fabric.now)
    old = Account(fabric, key(fabric, fabric.platform.credential.access_key))
    if call == "AssumeRole":
        late = session(old, fabric.platform, DurationSeconds=43200)
    else:
        late = Account(fabric, key(fabric, old("sts", call)["Credentials"]["AccessKeyId"]))
    assert works(late) and works(abroad)
    fabric.now += timedelta(minutes=10)
    assert not works(late) and not works(abroad) and not works(old)
    assert works(Account(fabric, new))
    fabric.pass_time(hours=3)  # the old key is forgotten, which makes none of them good again
    assert not works(late) and not works(abroad)


def test_an_account_that_is_deleted_leaves_no_session_elsewhere(fabric: Fabric) -> None:
    trust(fabric, fabric.customer, f"arn:aws:iam::{fabric.other.id}:root")
    abroad = session(fabric.other, fabric.customer)
    record = fabric.world.get(AccountRecord, fabric.other.id)
    assert record is not None
    accounts.delete(fabric.world, record)
    assert not works(abroad)


def test_a_chain_of_accounts_has_an_end(fabric: Fabric) -> None:
    everybody = (fabric.customer, fabric.platform)
    for account in everybody:
        trust(fabric, account, "*")
    acting, made = fabric.other, 0
    with pytest.raises(AwsError, match="behind it at most"):
        for number in range(50):
            acting, made = session(acting, everybody[number % 2]), made + 1
    assert 3 < made < 20
