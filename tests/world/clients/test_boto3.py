"""boto3, unmodified: every operation that is served is called on a running fabric, as the guide's two sides would."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from tieline.fabric.aws import catalogue
from world.running import Account, Tieline, until

pytestmark = pytest.mark.world
WEB = "#!/bin/sh\nmkdir /srv/w && cd /srv/w && echo here > index.html && exec python3 -m http.server 8080\n"
TAG = [{"Key": "team", "Value": "red"}]


def test_every_operation_that_is_served_is_called_here() -> None:
    text = Path(__file__).read_text()
    assert [name for _, name in catalogue.served() if f".{xform_name(name)}(" not in text] == []


@pytest.fixture(scope="module")
def customer(tieline: Tieline) -> Account:
    return tieline.account("customer")


@pytest.fixture(scope="module")
def platform(tieline: Tieline) -> Account:
    return tieline.account("platform")


class Provider:
    """A customer's network with a web server behind a balancer, published as a service."""

    def __init__(self, account: Account) -> None:
        self.vpc, self.subnets = account.network()
        self.instance = account.instance(self.subnets[0], WEB)
        self.balancer, self.group = account.balancer("web", self.vpc, self.subnets, self.instance, 8080)
        self.service, self.name = account.service(self.balancer)
        listeners = account.elb.describe_listeners(LoadBalancerArn=self.balancer)["Listeners"]
        self.listener = listeners[0]["ListenerArn"]


@pytest.fixture(scope="module")
def provider(customer: Account) -> Iterator[Provider]:
    yield Provider(customer)


def test_accounts_and_zones(customer: Account, platform: Account) -> None:
    role = f"arn:aws:iam::{customer.id}:role/tieline-admin"
    session = customer.sts.assume_role(RoleArn=role, RoleSessionName="shift")["Credentials"]
    keys = {"aws_access_key_id": session["AccessKeyId"], "aws_secret_access_key": session["SecretAccessKey"]}
    acting = customer.made("sts", **keys, aws_session_token=session["SessionToken"])
    assert acting.get_caller_identity()["Arn"].endswith(":assumed-role/tieline-admin/shift")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        customer.made("sts", **keys, aws_session_token="another").get_caller_identity()
    assert customer.sts.get_session_token()["Credentials"]["SessionToken"]
    with pytest.raises(ClientError, match="AccessDenied"):
        platform.sts.assume_role(RoleArn=role, RoleSessionName="shift")
    assert [r["RegionName"] for r in customer.ec2.describe_regions()["Regions"]] == ["us-east-1"]
    zones = customer.ec2.describe_availability_zones()["AvailabilityZones"]
    theirs = platform.ec2.describe_availability_zones()["AvailabilityZones"]
    assert {z["ZoneId"] for z in zones} == {z["ZoneId"] for z in theirs}
    assert customer.ec2.describe_account_attributes()["AccountAttributes"]


def test_networks(customer: Account) -> None:
    ec2 = customer.ec2
    tags = [{"ResourceType": "vpc", "Tags": TAG}]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=tags)["Vpc"]["VpcId"]
    assert ec2.describe_vpcs(Filters=[{"Name": "tag:team", "Values": ["r*"]}])["Vpcs"][0]["VpcId"] == vpc
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    assert ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")["EnableDnsHostnames"]["Value"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": False})
    assert ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"] == 251
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    assert ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"][0]["IsDefault"]
    assert ec2.describe_route_tables(Filters=of_vpc)["RouteTables"][0]["Associations"][0]["Main"]
    assert ec2.describe_prefix_lists()["PrefixLists"] == []
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
    with pytest.raises(ClientError, match=r"InvalidVpcID\.NotFound"):
        ec2.describe_vpcs(VpcIds=[vpc])


def test_security_groups(customer: Account, provider: Provider) -> None:
    ec2 = customer.ec2
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=provider.vpc)["GroupId"]
    rule: Any = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=rule)
    of_group = [{"Name": "group-id", "Values": [group]}]
    assert len(ec2.describe_security_group_rules(Filters=of_group)["SecurityGroupRules"]) == 3
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rule)
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=rule)
    assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"] == []
    ec2.delete_security_group(GroupId=group)


def test_instances(customer: Account, provider: Provider) -> None:
    ec2, subnet = customer.ec2, provider.subnets[1]
    made = ec2.run_instances(ImageId="local", MinCount=1, MaxCount=1, SubnetId=subnet, UserData="#!/bin/sh\necho up\n")
    id = made["Instances"][0]["InstanceId"]
    assert ec2.describe_images(ImageIds=["local"])["Images"][0]["State"] == "available"
    assert ec2.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"][0]["VCpuInfo"]["DefaultVCpus"]
    until(lambda: ec2.get_console_output(InstanceId=id).get("Output", ""), lambda text: "up" in text)
    assert ec2.describe_instance_status(InstanceIds=[id], IncludeAllInstances=True)["InstanceStatuses"]
    credits = ec2.describe_instance_credit_specifications(InstanceIds=[id])["InstanceCreditSpecifications"]
    assert credits[0]["CpuCredits"] == "standard"
    ec2.modify_instance_attribute(InstanceId=id, DisableApiTermination={"Value": True})
    assert ec2.describe_instance_attribute(InstanceId=id, Attribute="disableApiTermination")["DisableApiTermination"]
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        ec2.terminate_instances(InstanceIds=[id])
    with pytest.raises(ClientError, match="cannot be stopped"):
        ec2.stop_instances(InstanceIds=[id])
    assert ec2.start_instances(InstanceIds=[id])["StartingInstances"]
    ec2.modify_instance_attribute(InstanceId=id, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[id])
    shown = until(
        lambda: ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]["State"]["Name"],
        lambda state: state == "terminated",
    )
    assert shown == "terminated"


def test_interfaces(customer: Account, provider: Provider) -> None:
    ec2 = customer.ec2
    made = ec2.create_network_interface(SubnetId=provider.subnets[0], Description="for what is there already")
    id = made["NetworkInterface"]["NetworkInterfaceId"]
    shown = ec2.describe_network_interfaces(NetworkInterfaceIds=[id])["NetworkInterfaces"][0]
    assert shown["Status"] == "available" and shown["PrivateIpAddress"].startswith("10.0.1.")
    ec2.delete_network_interface(NetworkInterfaceId=id)
    with pytest.raises(ClientError, match=r"InvalidNetworkInterfaceID\.NotFound"):
        ec2.describe_network_interfaces(NetworkInterfaceIds=[id])


def test_balancers(customer: Account, provider: Provider) -> None:
    elb, ec2 = customer.elb, customer.ec2
    group = ec2.create_security_group(GroupName="nlb", Description="d", VpcId=provider.vpc)["GroupId"]
    arguments: Any = {"Name": "second", "Type": "network", "Scheme": "internal", "SecurityGroups": [group]}
    arn = elb.create_load_balancer(Subnets=provider.subnets[:1], **arguments)["LoadBalancers"][0]["LoadBalancerArn"]
    assert len(elb.set_subnets(LoadBalancerArn=arn, Subnets=provider.subnets)["AvailabilityZones"]) == 2
    assert elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[group])["SecurityGroupIds"] == [group]
    assert elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")["IpAddressType"] == "ipv4"
    wanted = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=wanted)
    assert wanted[0] in elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    assert elb.describe_capacity_reservation(LoadBalancerArn=arn)["CapacityReservationState"] == []
    assert elb.describe_account_limits()["Limits"]
    elb.add_tags(ResourceArns=[arn], Tags=TAG)
    assert elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"] == TAG
    elb.remove_tags(ResourceArns=[arn], TagKeys=["team"])
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        elb.delete_load_balancer(LoadBalancerArn=arn)
    off = [{"Key": "deletion_protection.enabled", "Value": "false"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=off)
    owner = [{"Name": "description", "Values": [f"ELB {arn.split(':loadbalancer/')[1]}"]}]
    assert len(ec2.describe_network_interfaces(Filters=owner)["NetworkInterfaces"]) == 2
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert ec2.describe_network_interfaces(Filters=owner)["NetworkInterfaces"] == []
    with pytest.raises(ClientError, match="LoadBalancerNotFound"):
        elb.describe_load_balancers(LoadBalancerArns=[arn])


def test_target_groups_and_listeners(customer: Account, provider: Provider) -> None:
    elb = customer.elb
    made = elb.create_target_group(Name="tg", Protocol="TCP", Port=9, VpcId=provider.vpc, TargetType="ip")
    group = made["TargetGroups"][0]["TargetGroupArn"]
    elb.modify_target_group(TargetGroupArn=group, HealthCheckPort="8080", HealthCheckIntervalSeconds=5)
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=delay)
    assert delay[0] in elb.describe_target_group_attributes(TargetGroupArn=group)["Attributes"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.1.99"}])
    assert customer.health(group) == ["unused"]
    assert elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"]
    forward: Any = [{"Type": "forward", "TargetGroupArn": group}]
    listener = elb.create_listener(LoadBalancerArn=provider.balancer, Protocol="TCP", Port=9, DefaultActions=forward)[
        "Listeners"
    ][0]["ListenerArn"]
    elb.modify_listener(ListenerArn=listener, Port=10)
    idle = [{"Key": "tcp.idle_timeout.seconds", "Value": "60"}]
    elb.modify_listener_attributes(ListenerArn=listener, Attributes=idle)
    assert elb.describe_listener_attributes(ListenerArn=listener)["Attributes"] == idle
    assert elb.describe_rules(ListenerArn=listener)["Rules"][0]["IsDefault"]
    with pytest.raises(ClientError, match="ResourceInUse"):
        elb.delete_target_group(TargetGroupArn=group)
    elb.delete_listener(ListenerArn=listener)
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.1.99"}])
    elb.delete_target_group(TargetGroupArn=group)
    with pytest.raises(ClientError, match="TargetGroupNotFound"):
        elb.describe_target_groups(Names=["tg"])


def test_services_and_endpoints(customer: Account, platform: Account, provider: Provider) -> None:
    ec2, theirs, service = customer.ec2, platform.ec2, provider.service
    allowed = [f"arn:aws:iam::{platform.id}:root"]
    ec2.modify_vpc_endpoint_service_permissions(ServiceId=service, AddAllowedPrincipals=allowed)
    permissions = ec2.describe_vpc_endpoint_service_permissions(ServiceId=service)["AllowedPrincipals"]
    ec2.create_tags(Resources=[permissions[0]["ServicePermissionId"]], Tags=TAG)
    assert ec2.describe_tags(Filters=[{"Name": "key", "Values": ["team"]}])["Tags"]
    ec2.delete_tags(Resources=[permissions[0]["ServicePermissionId"]])
    ec2.modify_vpc_endpoint_service_payer_responsibility(ServiceId=service, PayerResponsibility="ServiceOwner")
    ec2.modify_vpc_endpoint_service_configuration(ServiceId=service, PrivateDnsName="web.test")
    assert ec2.start_vpc_endpoint_service_private_dns_verification(ServiceId=service)["ReturnValue"]
    shown = ec2.describe_vpc_endpoint_service_configurations(ServiceIds=[service])["ServiceConfigurations"][0]
    assert shown["PrivateDnsName"] == "web.test"
    assert (
        theirs.describe_vpc_endpoint_services(ServiceNames=[provider.name])["ServiceDetails"][0]["Owner"] == customer.id
    )

    vpc, subnets = platform.network()
    made = theirs.create_vpc_endpoint(
        VpcEndpointType="Interface", VpcId=vpc, ServiceName=provider.name, SubnetIds=subnets[:1]
    )
    id = made["VpcEndpoint"]["VpcEndpointId"]
    assert theirs.describe_vpc_endpoints(VpcEndpointIds=[id])["VpcEndpoints"][0]["State"] == "pendingAcceptance"
    assert theirs.describe_vpc_endpoint_associations()["VpcEndpointAssociations"] == []
    of_service = [{"Name": "service-id", "Values": [service]}]
    assert ec2.describe_vpc_endpoint_connections(Filters=of_service)["VpcEndpointConnections"][0]["VpcEndpointId"] == id
    ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[id])
    until(lambda: platform.endpoint_state(id), lambda state: state == "available")
    _metrics(platform, id)
    theirs.modify_vpc_endpoint(VpcEndpointId=id, AddSubnetIds=subnets[1:])
    until(lambda: platform.endpoint_state(id), lambda state: state == "available")
    ec2.reject_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[id])
    assert platform.endpoint_state(id) == "rejected"
    theirs.delete_vpc_endpoints(VpcEndpointIds=[id])
    until(lambda: theirs.describe_vpc_endpoints()["VpcEndpoints"], lambda left: not left)

    other = ec2.create_vpc_endpoint_service_configuration(NetworkLoadBalancerArns=[_balancer(customer, provider)])
    ids = [service, other["ServiceConfiguration"]["ServiceId"]]
    assert ec2.delete_vpc_endpoint_service_configurations(ServiceIds=ids)["Unsuccessful"] == []


def _metrics(platform: Account, endpoint: str) -> None:
    """What the endpoint has carried can be asked for as soon as the first look at it was taken."""
    cloudwatch, named = platform.made("cloudwatch"), [{"Name": "VPC Endpoint Id", "Value": endpoint}]
    listed = until(lambda: cloudwatch.list_metrics(Namespace="AWS/PrivateLinkEndpoints", Dimensions=named)["Metrics"])
    query = {"Id": "q", "MetricStat": {"Metric": listed[0], "Period": 60, "Stat": "Sum"}}
    times = {"StartTime": datetime.now(UTC) - timedelta(minutes=5), "EndTime": datetime.now(UTC)}
    [found] = cloudwatch.get_metric_data(MetricDataQueries=[query], **times)["MetricDataResults"]
    assert found["Label"] == listed[0]["MetricName"] and found["StatusCode"] == "Complete"


def _balancer(customer: Account, provider: Provider) -> str:
    made = customer.elb.create_load_balancer(Name="third", Type="network", Scheme="internal", Subnets=provider.subnets)
    return str(made["LoadBalancers"][0]["LoadBalancerArn"])
