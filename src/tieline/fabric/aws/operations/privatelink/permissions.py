"""EC2, the provider's side: the principals that may ask an endpoint service for a connection."""

from __future__ import annotations

from typing import Any

import msgspec

from tieline.fabric.aws.operations.privatelink.services import NOT_FOUND
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, listing, operation, tag_list
from tieline.fabric.core import consent
from tieline.fabric.core.records import EndpointService, Principal


@operation("ec2", "ModifyVpcEndpointServicePermissions", "ServiceId AddAllowedPrincipals RemoveAllowedPrincipals")
def modify_permissions(call: Call) -> Answer:
    """Removing a principal leaves its present connections alone: AWS cuts them only when they are rejected."""
    service = call.find(EndpointService, call.p["ServiceId"], *NOT_FOUND)
    present = {principal.arn: principal for principal in service.principals}
    added = []
    for arn in call.p.get("AddAllowedPrincipals", []):
        if not consent.well_formed(arn):
            message = f"The principal '{arn}' is not valid. Use *, or the ARN of an account's root, a user or a role."
            raise AwsError("InvalidPrincipal", message)
        if arn not in present:
            present[arn] = Principal(id=call.ids.new("vpce-svc-perm"), arn=arn)
            added.append(present[arn])
    for arn in call.p.get("RemoveAllowedPrincipals", []):
        if present.pop(arn, None) is None:
            raise AwsError("InvalidPrincipal", f"The principal '{arn}' is not allowed on {service.id}.")
    call.world.put(msgspec.structs.replace(service, principals=tuple(present.values())))
    items = [_permission(principal) | {"ServiceId": service.id} for principal in added]
    return {"ReturnValue": True, "AddedPrincipals": [{k: v for k, v in i.items() if k != "Tags"} for i in items]}


def _permission(principal: Principal) -> dict[str, Any]:
    return {
        "ServicePermissionId": principal.id,
        "Principal": principal.arn,
        "PrincipalType": consent.principal_type(principal.arn),
        "Tags": tag_list(principal.tags),
    }


@operation("ec2", "DescribeVpcEndpointServicePermissions", "ServiceId Filters MaxResults NextToken")
def describe_permissions(call: Call) -> Answer:
    service = call.find(EndpointService, call.p["ServiceId"], *NOT_FOUND)
    fields = {
        "principal": lambda p: p.arn,
        "principal-type": lambda p: consent.principal_type(p.arn),
    }
    return listing(
        call,
        service.principals,
        fields,
        "AllowedPrincipals",
        lambda p: _permission(p) | {"ServiceId": service.id},
    )
