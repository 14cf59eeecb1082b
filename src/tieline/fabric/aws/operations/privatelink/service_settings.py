"""EC2: the lesser settings of endpoint services and endpoints."""

from __future__ import annotations

import msgspec

from tieline.fabric.aws.operations.privatelink.endpoints import NOT_FOUND as ENDPOINT_NOT_FOUND
from tieline.fabric.aws.operations.privatelink.services import NOT_FOUND
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, chosen_by_id, listing, operation
from tieline.fabric.core.records import Endpoint, EndpointService, Record


@operation("ec2", "StartVpcEndpointServicePrivateDnsVerification", "ServiceId")
def start_private_dns_verification(call: Call) -> Answer:
    """Every name that this fabric takes is verified from the start."""
    service = call.find(EndpointService, call.p["ServiceId"], *NOT_FOUND)
    if not service.private_dns_name:
        raise AwsError("InvalidParameter", f"The service {service.id} has no private DNS name to verify.")
    return {"ReturnValue": True}


@operation("ec2", "ModifyVpcEndpointServicePayerResponsibility", "ServiceId PayerResponsibility")
def modify_payer_responsibility(call: Call) -> Answer:
    """Recorded only: nobody pays for anything here. AWS has no way back, either."""
    service = call.find(EndpointService, call.p["ServiceId"], *NOT_FOUND)
    call.world.put(msgspec.structs.replace(service, payer=call.p["PayerResponsibility"]))
    return {"ReturnValue": True}


@operation("ec2", "DescribeVpcEndpointAssociations", "VpcEndpointIds Filters MaxResults NextToken")
def describe_endpoint_associations(call: Call) -> Answer:
    """Associations belong to endpoints of resources and service networks; interface endpoints have none."""
    chosen_by_id(call, Endpoint, "VpcEndpointIds", *ENDPOINT_NOT_FOUND)
    names = ("vpc-endpoint-id", "associated-resource-id", "service-network-arn", "resource-configuration-group-arn")
    none: list[Record] = []
    return listing(call, none, {name: lambda _: "" for name in names}, "VpcEndpointAssociations", lambda _: {})
