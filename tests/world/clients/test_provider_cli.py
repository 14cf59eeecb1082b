"""`tieline account` and `tieline service` on a running fabric: keys that work, links that are cut or left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from world.running import Account, Tieline, until

pytestmark = pytest.mark.world
WEB = "#!/bin/sh\nmkdir /srv/w && cd /srv/w && exec python3 -m http.server 8080\n"


class Published:
    """A customer's service with an accepted connection of the platform's."""

    def __init__(self, tieline: Tieline) -> None:
        self.tieline = tieline
        self.customer, self.platform = tieline.account("customer"), tieline.account("platform")
        vpc, subnets = self.customer.network()
        instance = self.customer.instance(subnets[0], WEB)
        self.balancer, _ = self.customer.balancer("web", vpc, subnets, instance, 8080)
        self.there, self.their_subnets = self.platform.network()
        self.client = self.platform.instance(self.their_subnets[0], "#!/bin/sh\nexec sleep infinity\n")
        self.principal = f"arn:aws:iam::{self.platform.id}:root"

    def connected(self) -> tuple[str, str]:
        """Publish, ask, accept; the ids of service and endpoint."""
        service, name = self.customer.service(self.balancer, self.principal)
        endpoint = self.platform.endpoint(self.there, name, self.their_subnets)
        self.customer.ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
        until(lambda: self.platform.endpoint_state(endpoint), lambda state: state == "available")
        assert until(lambda: self.reaches(endpoint))
        return service, endpoint

    def reaches(self, endpoint: str) -> bool:
        """Whether a byte gets through."""
        address = self.platform.addresses(endpoint)[0]
        done = self.tieline.inside(self.client, "curl", "-fsm", "5", f"http://{address}:8080/")
        return done.returncode == 0

    def service(self, *arguments: str, check: bool = True) -> Any:
        """Run `tieline service`; its records, or the exit status and the complaint."""
        state = ["--profile", "customer", "--state", str(self.tieline.state), "--json"]
        done = self.tieline.command("service", *arguments, *state, check=check)
        return json.loads(done.stdout) if done.returncode == 0 else (done.returncode, done.stderr)


@pytest.fixture(scope="module")
def published(tieline: Tieline) -> Published:
    return Published(tieline)


def test_withdrawing_a_principal_leaves_its_connections_unless_they_are_cut(published: Published) -> None:
    service, endpoint = published.connected()
    assert published.service("withdraw", service, published.principal) == []
    assert published.reaches(endpoint)
    published.customer.ec2.modify_vpc_endpoint_service_permissions(
        ServiceId=service, AddAllowedPrincipals=[published.principal]
    )
    cut = published.service("withdraw", service, published.principal, "--cut")
    assert [(one["endpoint"], one["state"]) for one in cut] == [(endpoint, "rejected")]
    until(lambda: not published.reaches(endpoint))
    _clean(published, service, endpoint)


def test_a_service_with_connections_is_deleted_on_request_only(published: Published) -> None:
    service, endpoint = published.connected()
    status, said = published.service("delete", service, check=False)
    assert status == 1 and endpoint in said and "--cascade" in said
    assert published.reaches(endpoint)
    assert [one["endpoint"] for one in published.service("delete", service, "--cascade")] == [endpoint]
    until(lambda: not published.reaches(endpoint))
    assert published.platform.endpoint_state(endpoint) == "rejected"
    published.platform.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])


def test_a_drained_service_admits_nobody_and_waits_for_those_who_are_there(published: Published) -> None:
    service, endpoint = published.connected()
    status, _ = published.service("drain", service, "--wait", "0.5", check=False)
    assert status == 1
    assert published.reaches(endpoint)
    assert (
        published.customer.ec2.describe_vpc_endpoint_service_permissions(ServiceId=service)["AllowedPrincipals"] == []
    )
    published.platform.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    assert published.service("drain", service, "--wait", "60") == []
    assert published.service("delete", service) == []


def test_a_principal_that_is_accepted_automatically_need_not_wait(published: Published) -> None:
    service, name = published.customer.service(published.balancer)
    assert published.service("allowed", service) == []
    allowed = published.service("allow", service, published.principal, "--automatic")
    assert [(one["principal"], one["automatic"]) for one in allowed] == [(published.principal, True)]
    endpoint = published.platform.endpoint(published.there, name, published.their_subnets)
    until(lambda: published.platform.endpoint_state(endpoint), lambda state: state == "available")
    [shown] = [one for one in published.service("list") if one["id"] == service]
    assert (shown["acceptance_required"], shown["principals"], shown["connections"]) == (True, 1, 1)
    published.service("allow", service, "*")
    published.service("allow", service, "*", "--automatic")
    published.service("allow", service, published.principal, "--manual")
    assert {one["principal"]: one["automatic"] for one in published.service("allowed", service)} == {
        published.principal: False,
        "*": True,
    }
    _clean(published, service, endpoint)


def _clean(published: Published, service: str, endpoint: str) -> None:
    published.platform.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    published.service("delete", service)


def test_accounts_are_made_rotated_and_deleted(tieline: Tieline) -> None:
    def account(*arguments: str, check: bool = True) -> Any:
        done = tieline.command("account", *arguments, "--state", str(tieline.state), "--json", check=check)
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    made = account("create", "visitor")[0]
    visitor = tieline.account("visitor")
    assert visitor.id == made["id"]
    account("rotate", "visitor", "--grace", "0")
    with pytest.raises(ClientError, match="ExpiredToken"):
        visitor.sts.get_caller_identity()
    visitor = Account(tieline, "visitor")
    vpc = visitor.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    assert vpc in account("delete", "visitor", check=False)
    visitor.ec2.delete_vpc(VpcId=vpc)
    account("delete", "visitor")
    assert {each["name"] for each in account("list")} == {"platform", "customer"}
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        visitor.sts.get_caller_identity()
