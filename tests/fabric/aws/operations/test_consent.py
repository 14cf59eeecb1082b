"""The provider's and the consumer's side of a connection, with AWS's states, refusals and messages."""

import pytest

from fabric.worlds import Account, Fabric


@pytest.fixture
def fabric() -> Fabric:
    return Fabric()


@pytest.fixture
def service(fabric: Fabric) -> tuple[str, str]:
    vpc, subnets = fabric.customer.network()
    return fabric.customer.service(fabric.customer.balancer(vpc, subnets), fabric.platform)


def endpoint(account: Account, name: str) -> str:
    vpc, subnets = account.network()
    return account.endpoint(vpc, name, subnets)


def connections(account: Account) -> dict[str, str]:
    found = account.ec2("DescribeVpcEndpointConnections")["VpcEndpointConnections"]
    return {each["VpcEndpointId"]: each["VpcEndpointState"] for each in found}


def test_a_request_names_its_service(fabric: Fabric) -> None:
    vpc, subnets = fabric.platform.network()
    request = {"VpcEndpointType": "Interface", "VpcId": vpc, "SubnetIds": subnets}
    fabric.platform.refused("MissingParameter", "ec2", "CreateVpcEndpoint", **request)


def test_a_request_waits_for_the_provider_and_is_available_when_it_is_built(
    fabric: Fabric, service: tuple[str, str]
) -> None:
    id = endpoint(fabric.platform, service[1])
    assert fabric.platform.endpoint_state(id) == "pendingAcceptance"
    assert connections(fabric.customer) == {id: "pendingAcceptance"}
    assert not fabric.plan().wires
    answer = fabric.customer.ec2("AcceptVpcEndpointConnections", ServiceId=service[0], VpcEndpointIds=[id])
    assert answer["Unsuccessful"] == []
    assert fabric.platform.endpoint_state(id) == "pending"
    assert list(fabric.plan().wires) == [id]
    fabric.settle()
    assert fabric.platform.endpoint_state(id) == "available"


def test_without_acceptance_a_request_is_built_at_once(fabric: Fabric) -> None:
    vpc, subnets = fabric.customer.network()
    balancer = fabric.customer.balancer(vpc, subnets)
    _, name = fabric.customer.service(balancer, fabric.platform, acceptance=False)
    id = endpoint(fabric.platform, name)
    assert fabric.platform.endpoint_state(id) == "pending"


def test_a_rejected_connection_keeps_its_record_and_its_addresses_but_has_no_wire(
    fabric: Fabric, service: tuple[str, str]
) -> None:
    id = endpoint(fabric.platform, service[1])
    fabric.customer.ec2("AcceptVpcEndpointConnections", ServiceId=service[0], VpcEndpointIds=[id])
    fabric.settle()
    fabric.customer.ec2("RejectVpcEndpointConnections", ServiceId=service[0], VpcEndpointIds=[id])
    assert fabric.platform.endpoint_state(id) == "rejected"
    topology = fabric.plan()
    assert not topology.wires
    assert any(vpc.addresses for vpc in topology.vpcs.values())
    fabric.customer.ec2("AcceptVpcEndpointConnections", ServiceId=service[0], VpcEndpointIds=[id])
    assert fabric.platform.endpoint_state(id) == "pending"


def test_removing_a_principal_keeps_connections_and_refuses_new_ones(fabric: Fabric, service: tuple[str, str]) -> None:
    id = endpoint(fabric.platform, service[1])
    fabric.customer.ec2("AcceptVpcEndpointConnections", ServiceId=service[0], VpcEndpointIds=[id])
    fabric.settle()
    arn = f"arn:aws:iam::{fabric.platform.id}:root"
    fabric.customer.ec2("ModifyVpcEndpointServicePermissions", ServiceId=service[0], RemoveAllowedPrincipals=[arn])
    assert fabric.platform.endpoint_state(id) == "available"
    vpc, subnets = fabric.platform.network()
    fabric.platform.refused(
        "InvalidServiceName",
        "ec2",
        "CreateVpcEndpoint",
        VpcEndpointType="Interface",
        VpcId=vpc,
        ServiceName=service[1],
        SubnetIds=subnets,
    )


@pytest.mark.parametrize("name", ["com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0", "no such thing", ""])
def test_unknown_and_forbidden_services_look_the_same(fabric: Fabric, service: tuple[str, str], name: str) -> None:
    vpc, subnets = fabric.other.network()
    request = {"VpcEndpointType": "Interface", "VpcId": vpc, "SubnetIds": subnets}
    unknown = fabric.other.refused("InvalidServiceName", "ec2", "CreateVpcEndpoint", ServiceName=name, **request)
    forbidden = fabric.other.refused(
        "InvalidServiceName", "ec2", "CreateVpcEndpoint", ServiceName=service[1], **request
    )
    assert unknown.replace(name, "X") == forbidden.replace(service[1], "X") or name == ""
    assert fabric.other.ec2("DescribeVpcEndpointServices")["ServiceNames"] == []
    assert fabric.platform.ec2("DescribeVpcEndpointServices")["ServiceNames"] == [service[1]]


def test_a_zone_that_is_not_served_is_refused_naming_both_sets(fabric: Fabric, service: tuple[str, str]) -> None:
    vpc, subnets = fabric.platform.network(("use1-az3",))
    message = fabric.platform.refused(
        "InvalidParameter",
        "ec2",
        "CreateVpcEndpoint",
        VpcEndpointType="Interface",
        VpcId=vpc,
        ServiceName=service[1],
        SubnetIds=subnets,
    )
    assert subnets[0] in message
    assert "use1-az3" in message
    assert "use1-az1, use1-az2" in message


def test_a_service_with_connections_cannot_be_deleted_and_one_without_can(
    fabric: Fabric, service: tuple[str, str]
) -> None:
    id = endpoint(fabric.platform, service[1])
    answer = fabric.customer.ec2("DeleteVpcEndpointServiceConfigurations", ServiceIds=[service[0]])
    assert answer["Unsuccessful"][0]["Error"]["Code"] == "ExistingVpcEndpointConnections"
    fabric.customer.ec2("RejectVpcEndpointConnections", ServiceId=service[0], VpcEndpointIds=[id])
    answer = fabric.customer.ec2("DeleteVpcEndpointServiceConfigurations", ServiceIds=[service[0], "vpce-svc-0"])
    assert [item["Error"]["Code"] for item in answer["Unsuccessful"]] == ["InvalidVpcEndpointService.NotFound"]
    assert fabric.platform.endpoint_state(id) == "rejected"
    fabric.platform.ec2("DeleteVpcEndpoints", VpcEndpointIds=[id])
    fabric.settle()
    fabric.platform.refused("InvalidVpcEndpointId.NotFound", "ec2", "DescribeVpcEndpoints", VpcEndpointIds=[id])
    assert not any(vpc.addresses for vpc in fabric.plan().vpcs.values())


def test_a_balancer_of_a_service_cannot_be_deleted(fabric: Fabric, service: tuple[str, str]) -> None:
    arn = fabric.customer.elb("DescribeLoadBalancers")["LoadBalancers"][0]["LoadBalancerArn"]
    fabric.customer.refused("ResourceInUse", "elbv2", "DeleteLoadBalancer", LoadBalancerArn=arn)


def test_nobody_decides_about_another_accounts_connection(fabric: Fabric, service: tuple[str, str]) -> None:
    id = endpoint(fabric.platform, service[1])
    for who in (fabric.other, fabric.platform):
        who.refused(
            "InvalidVpcEndpointServiceId.NotFound",
            "ec2",
            "AcceptVpcEndpointConnections",
            ServiceId=service[0],
            VpcEndpointIds=[id],
        )
    assert connections(fabric.other) == {}


def test_the_same_token_gives_the_same_endpoint_and_other_parameters_are_refused(
    fabric: Fabric, service: tuple[str, str]
) -> None:
    vpc, subnets = fabric.platform.network()
    request = {"VpcEndpointType": "Interface", "VpcId": vpc, "ServiceName": service[1], "ClientToken": "t1"}
    first = fabric.platform.ec2("CreateVpcEndpoint", SubnetIds=subnets, **request)
    again = fabric.platform.ec2("CreateVpcEndpoint", SubnetIds=subnets, **request)
    assert first["VpcEndpoint"] == again["VpcEndpoint"]
    fabric.platform.refused("IdempotentParameterMismatch", "ec2", "CreateVpcEndpoint", SubnetIds=subnets[:1], **request)


def test_a_dry_run_says_that_it_would_have_worked_and_changes_nothing(fabric: Fabric, service: tuple[str, str]) -> None:
    vpc, subnets = fabric.platform.network()
    request = {"VpcEndpointType": "Interface", "VpcId": vpc, "ServiceName": service[1], "SubnetIds": subnets}
    fabric.platform.refused("DryRunOperation", "ec2", "CreateVpcEndpoint", DryRun=True, **request)


@pytest.mark.parametrize("principal", ["", "nobody", "arn:aws:iam::1:root", "arn:aws:s3:::bucket", "*; rm -rf /"])
def test_a_principal_that_is_no_arn_is_refused(fabric: Fabric, service: tuple[str, str], principal: str) -> None:
    fabric.customer.refused(
        "InvalidPrincipal",
        "ec2",
        "ModifyVpcEndpointServicePermissions",
        ServiceId=service[0],
        AddAllowedPrincipals=[principal],
    )
