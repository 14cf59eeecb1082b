"""Traps on the way to a running link: zones, the load balancer's kind, principals, consent, who goes first."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.server
import json
import threading
import time
from typing import Any, ClassVar

import httpx
import pytest
from botocore.exceptions import ClientError as AwsRefusal

from tieline.client.connect.connect import Connecting, Phase
from tieline.client.provider.consent import accept, reject
from tieline.client.provider.exposure import exposure
from tieline.client.rest import ClientError
from tieline.cloud.links.states import service_id
from tieline.demo.customer import PORT
from world.running import until
from world.traps.scene import DEPLOYMENT, Scene, hop

pytestmark = pytest.mark.world

FAR = "use1-az4"


def test_1_zones_are_compared_by_id(scene: Scene) -> None:
    """A load balancer in another zone: refused before anything is made, by hand and by connect, both sets named."""
    ec2 = scene.customer.ec2
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZoneId=FAR)["Subnet"]["SubnetId"]
    before = scene.customer.elb.describe_load_balancers()["LoadBalancers"]
    where = ["--vpc", vpc, "--profile", "customer", "--to", "10.9.1.10:5432"]
    for more in (["--plan"], ["--accept"]):
        done = scene.run("connect", "--name", "far", *where, *more)
        assert done.returncode == 1
        for zone in (*scene.zones, FAR):
            assert zone in done.stderr
        assert "no zone in common" in done.stderr
    assert scene.customer.elb.describe_load_balancers()["LoadBalancers"] == before
    elb = scene.customer.elb.create_load_balancer(Name="far", Subnets=[subnet], Scheme="internal", Type="network")
    arn = elb["LoadBalancers"][0]["LoadBalancerArn"]
    made = ec2.create_vpc_endpoint_service_configuration(NetworkLoadBalancerArns=[arn], AcceptanceRequired=True)
    id, name = made["ServiceConfiguration"]["ServiceId"], made["ServiceConfiguration"]["ServiceName"]
    ec2.modify_vpc_endpoint_service_permissions(ServiceId=id, AddAllowedPrincipals=[scene.principal])
    with pytest.raises(ClientError) as refused:
        scene.client.create_link(DEPLOYMENT, name="far", service_name=name)
    assert refused.value.code == "ZONE_MISMATCH"
    assert (refused.value.extra["deployment_zones"], refused.value.extra["service_zones"]) == (scene.zones, [FAR])


@pytest.mark.parametrize(("kind", "scheme"), [("gateway", "internal"), ("network", "internet-facing")])
def test_2_the_wrong_load_balancer_cannot_be_made(scene: Scene, kind: str, scheme: str) -> None:
    wanted: Any = {"Type": kind, "Scheme": scheme, "Subnets": scene.customer.subnets}
    with pytest.raises(AwsRefusal) as refused:
        scene.customer.elb.create_load_balancer(Name="wrong", **wanted)
    assert ("network" if kind == "gateway" else "internal") in str(refused.value)


def test_2_the_wrong_listener_port_is_named(scene: Scene) -> None:
    """The listener is on 5432 and the link was told 5433."""
    _, name = scene.service("port", scene.customer.subnets, scene.principal)
    scene.client.create_link(DEPLOYMENT, name="port", service_name=name, ports=[PORT + 1])
    until(lambda: scene.client.link(DEPLOYMENT, "port"), lambda link: link.status == "waiting_acceptance")
    waiting = scene.client.link(DEPLOYMENT, "port")
    asyncio.run(accept(scene.provider, service_id(name), [waiting.endpoint]))
    until(lambda: scene.client.link(DEPLOYMENT, "port"), lambda link: link.status == "running")
    until(lambda: hop(scene.doctor("port"), "name"), lambda found: found.verdict == "pass")
    found = scene.doctor("port")
    assert found.failing == "listeners"
    assert "5433" in hop(found, "listeners").evidence
    assert scene.doctor("port", witness=False).failing == "tcp"
    scene.client.delete_link(DEPLOYMENT, "port")


def test_4_a_forgotten_principal_is_named(scene: Scene) -> None:
    id, name = scene.service("secret", scene.customer.subnets)
    with pytest.raises(ClientError) as refused:
        scene.client.create_link(DEPLOYMENT, name="secret", service_name=name)
    assert refused.value.code == "NOT_ALLOWED"
    assert f"--add-allowed-principals {scene.principal}" in refused.value.hint
    scene.customer.ec2.modify_vpc_endpoint_service_permissions(ServiceId=id, AddAllowedPrincipals=[scene.principal])
    scene.client.create_link(DEPLOYMENT, name="secret", service_name=name)
    until(lambda: scene.client.link(DEPLOYMENT, "secret"), lambda link: link.status == "waiting_acceptance")
    scene.customer.ec2.modify_vpc_endpoint_service_permissions(ServiceId=id, RemoveAllowedPrincipals=[scene.principal])
    found = scene.doctor("secret")
    assert found.failing == "principal"
    assert scene.principal in hop(found, "principal").hint
    assert scene.doctor("secret", witness=False).failing == "service"  # AWS hides which of the two it is
    scene.client.delete_link(DEPLOYMENT, "secret")


def test_5_a_forgotten_consent_is_named_with_the_command_that_gives_it(scene: Scene) -> None:
    done = scene.connect("asked", "--json")
    assert done.returncode == 3
    link = json.loads(done.stdout)["link"]
    assert link["status"] == "waiting_acceptance"
    for witness in (True, False):
        found = scene.doctor("asked", witness)
        assert found.failing == "consent"
        assert link["endpoint"] in hop(found, "consent").hint
        assert hop(found, "tcp").verdict == "unknown"
    planned = scene.run("accept", "asked", "--plan", "--profile", "customer")
    assert f"would accept {link['endpoint']}" in planned.stdout, planned.stderr
    assert scene.client.link(DEPLOYMENT, "asked").status == "waiting_acceptance"
    accepted = scene.run("accept", "asked", "--id", link["endpoint"], "--profile", "customer")
    assert f"accepted {link['endpoint']}" in accepted.stdout, accepted.stderr
    health = scene.connected("asked").health
    assert health is not None
    assert (health.backend, health.probe.reached) == ("healthy", True)
    assert scene.run("doctor", "asked", "--profile", "customer").returncode == 0
    rejected = scene.run("reject", "asked", "--id", link["endpoint"], "--profile", "customer")
    assert f"rejected {link['endpoint']}" in rejected.stdout, rejected.stderr
    until(lambda: scene.client.link(DEPLOYMENT, "asked"), lambda seen: seen.status == "failed")
    shown = scene.run("link", "show", "asked").stdout
    assert "not running" in shown
    assert scene.run("doctor", "asked", "--profile", "customer").returncode == 1
    for verb, planned_line in (("disconnect", "delete private link asked"), ("expose", "delete endpoint service")):
        options = ["--remove"] if verb == "expose" else []
        planned = scene.run(verb, *options, "--name", "asked", "--plan", "--profile", "customer")
        assert planned_line in planned.stdout, planned.stderr
    assert scene.client.link(DEPLOYMENT, "asked").service_name == link["service_name"]
    gone = scene.run("disconnect", "--name", "asked", "--profile", "customer")
    assert gone.returncode == 0, gone.stderr


def test_5_a_rejection_is_no_end(scene: Scene) -> None:
    link = scene.connected("changed").link
    asyncio.run(reject(scene.provider, service_id(link.service_name), [link.endpoint]))
    until(lambda: scene.client.link(DEPLOYMENT, "changed"), lambda link: link.status == "failed")
    assert scene.doctor("changed").failing == "consent"
    again = scene.connected("changed").link
    assert again.status == "running"
    assert again.endpoint != link.endpoint
    scene.disconnect("changed")


def test_11_the_provider_goes_first_and_the_link_can_go_or_come_back(scene: Scene) -> None:
    before = scene.connected("first").link
    scene.withdraw("first")
    failed = until(lambda: scene.client.link(DEPLOYMENT, "first"), lambda link: link.reason == "service_removed")
    assert failed.status == "failed"
    for witness in (True, False):
        assert scene.doctor("first", witness).failing == "service"
    where = ["--vpc", scene.customer.vpc, "--profile", "customer", "--allow", scene.principal]
    again = scene.run("expose", "--name", "first", "--to", scene.database, *where)
    assert again.returncode == 0, again.stderr
    asked = scene.run("link", "reconnect", "first", "--service", again.stdout.strip(), "--wait", "30", "--json")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["status"] == "waiting_acceptance"
    after = scene.connected("first").link
    assert after.id == before.id
    assert after.service_name != before.service_name
    scene.withdraw("first")
    until(lambda: scene.client.link(DEPLOYMENT, "first"), lambda link: link.status == "failed")
    scene.client.delete_link(DEPLOYMENT, "first")
    until(lambda: [link.name for link in scene.client.links(DEPLOYMENT)], lambda names: "first" not in names)


class Interrupted(Exception):
    """Ctrl-C, at a moment of the test's choice."""


@pytest.mark.parametrize("phase", ["service", "link", "consent", "running", "reach"])
def test_connect_goes_on_where_it_was_interrupted(scene: Scene, phase: str) -> None:
    def tell(begun: Phase) -> None:
        if begun.phase == phase:
            raise Interrupted

    wanted = exposure(f"cut-{phase}", scene.customer.vpc, (scene.database,))
    with pytest.raises(Interrupted):
        asyncio.run(Connecting(scene.client, scene.provider, DEPLOYMENT, wanted, tell).run(True, 60))
    done = scene.connected(f"cut-{phase}")
    assert done.health is not None
    assert (done.health.backend, done.health.probe.reached) == ("healthy", True)
    assert len([link for link in scene.client.links(DEPLOYMENT) if link.name == f"cut-{phase}"]) == 1
    scene.disconnect(f"cut-{phase}")


class Listener(http.server.BaseHTTPRequestHandler):
    """Takes alerts; refuses the first, which must come again."""

    heard: ClassVar[list[tuple[str, bytes]]] = []
    refused: ClassVar[int] = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        first = not Listener.refused
        Listener.refused += first
        if not first:
            Listener.heard.append((self.headers["X-Tieline-Signature"], body))
        self.send_response(503 if first else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


def test_a_webhook_hears_of_a_link_from_birth_to_end(scene: Scene) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api = httpx.Client(
        base_url=f"{scene.tieline.rest}/api/v1",
        headers={"Authorization": f"Bearer {(scene.tieline.state / 'api-key').read_text().strip()}"},
        trust_env=False,
    )
    wanted = {"name": "pager", "url": f"http://127.0.0.1:{server.server_port}/", "secret": "between us"}
    assert api.post("/alerts", json=wanted).json()["signed"] is True
    assert "between us" not in api.get("/alerts").text
    time.sleep(2)  # the first look for a new webhook is what later ones are compared with
    scene.connected("heard")

    def told() -> list[tuple[str, str]]:
        alerts = [json.loads(body) for _, body in Listener.heard]
        return [(alert["before"], alert["after"]) for alert in alerts if alert["name"] == "heard"]

    until(told, lambda pairs: any(after == "running" for _, after in pairs))
    scene.disconnect("heard")
    until(told, lambda pairs: any(after == "absent" for _, after in pairs))
    for signature, body in Listener.heard:
        assert signature == hmac.new(b"between us", body, hashlib.sha256).hexdigest()
    assert api.delete("/alerts/pager").status_code == 204
    assert api.delete("/alerts/pager").status_code == 404
    assert api.post("/alerts", json={**wanted, "url": "file:///etc/passwd"}).json()["code"] == "INVALID_URL"
    api.close()
    server.shutdown()
    server.server_close()
