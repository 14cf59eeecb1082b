"""Traps behind a running link: health, addresses, access lists, certificates, advertised ports, silence, dependants."""

from __future__ import annotations

import subprocess

import pytest

from tieline.client.rest import ClientError
from tieline.demo.customer import DATABASE, PORT, USER
from tieline.demo.devices import Reading
from tieline.demo.devices import publish as send
from tieline.fabric.core.topology import Listener
from tieline.integration.delivery.health import INTERVAL
from world.running import until
from world.traps.scene import DEPLOYMENT, Scene, hop

pytestmark = pytest.mark.world

HOME = "/var/lib/tieline-demo"
HBA = f"host {DATABASE} {USER} 10.0.0.0/16 scram-sha-256"


@pytest.fixture(scope="module")
def link(scene: Scene) -> str:
    """A link that works, and a resource behind it."""
    scene.connected("orders")
    scene.client.create_resource(DEPLOYMENT, **scene.resource("db", "orders"))
    assert scene.doctor("orders").failing is None
    return "orders"


def psql(scene: Scene, *commands: str) -> None:
    """As the database's owner, on its own machine."""
    each = [word for command in commands for word in ("-c", command)]
    as_owner = ["env", f"PGPASSWORD={scene.customer.password}", "psql", "-qX", "-h", HOME, "-p", str(PORT)]
    scene.inside(*as_owner, "-U", "postgres", *each)


def edit_hba(scene: Scene, line: str) -> None:
    """Replace the line of the access list that lets the writer in; the database follows a moment later."""
    scene.inside("sh", "-c", f"sed -i 's|^host {DATABASE} .*|{line}|' {HOME}/data/pg_hba.conf")
    psql(scene, "select pg_reload_conf()")


def test_3_a_running_link_with_unhealthy_targets(scene: Scene) -> None:
    """The security group does not admit the port: the link is `running`, and both witnesses name their hop."""
    done = scene.connect("dead", "--accept", "--json", "--wait", "8", to=f"{scene.customer.address}:5999")
    assert done.returncode == 1
    assert scene.client.link(DEPLOYMENT, "dead").status == "running"
    found = until(lambda: scene.doctor("dead"), lambda seen: "unhealthy" in hop(seen, "targets").evidence)
    assert found.failing == "targets"
    assert "Target.Timeout" in hop(found, "targets").evidence
    assert "security group" in hop(found, "targets").hint
    assert hop(found, "tcp").verdict == "fail"
    assert scene.doctor("dead", witness=False).failing == "tcp"
    health = scene.client.link_health(DEPLOYMENT, "dead")
    assert (health.link, health.backend, health.probe.reached) == ("running", "unknown", False)
    scene.disconnect("dead")


@pytest.mark.parametrize("server", ["{address}", "http://{address}:5432", "{address}:5432/plant", "{address}:0"])
def test_6_an_address_without_a_port_or_with_a_scheme_is_refused(scene: Scene, link: str, server: str) -> None:
    address = scene.client.link(DEPLOYMENT, link).address
    wanted = scene.resource("bad", link, server=server.format(address=address))
    with pytest.raises(ClientError) as refused:
        scene.client.create_resource(DEPLOYMENT, **wanted)
    assert refused.value.code == "INVALID_SERVER"
    ready = scene.client.link(DEPLOYMENT, link).addresses[0]
    scene.client.probe_resource(DEPLOYMENT, **scene.resource("good", link, server=ready))


def test_7_an_access_list_that_does_not_admit_the_load_balancer(scene: Scene, link: str) -> None:
    """The database sees the balancer's address, and admits only the broker's own range."""
    edit_hba(scene, f"host {DATABASE} {USER} 10.200.0.0/16 scram-sha-256")
    try:
        found = until(lambda: scene.doctor(link), lambda seen: seen.failing is not None)
        assert found.failing == "login"
        assert "load balancer" in hop(found, "login").hint
        assert "pg_hba" in hop(found, "login").evidence
    finally:
        edit_hba(scene, HBA)
    until(lambda: scene.doctor(link), lambda seen: seen.failing is None)


def test_8_a_certificate_for_another_name(scene: Scene, link: str) -> None:
    """The certificate is for db.internal: checked against the link's name it fails, against its own it passes."""
    make = (
        f"cd {HOME}/data && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=db.internal "
        "-addext subjectAltName=DNS:db.internal -keyout server.key -out server.crt 2>/dev/null && "
        "chown postgres server.key server.crt && chmod 600 server.key && cat server.crt"
    )
    authority = scene.inside("sh", "-c", make)
    psql(scene, "alter system set ssl = on", "select pg_reload_conf()")
    ssl = {"enable": True, "cacert": authority}
    scene.client.create_resource(DEPLOYMENT, **scene.resource("named", link, ssl=ssl))
    found = until(lambda: scene.doctor(link), lambda seen: "ssl.server_name" in hop(seen, "tls").hint)  # TLS is on
    assert found.failing == "tls"
    assert scene.client.link(DEPLOYMENT, link).address in hop(found, "tls").evidence
    scene.client.delete_resource(DEPLOYMENT, "named")
    ssl["server_name"] = "db.internal"
    scene.client.create_resource(DEPLOYMENT, **scene.resource("named", link, ssl=ssl))
    found = scene.doctor(link)
    assert found.failing is None
    assert "db.internal" in hop(found, "tls").evidence
    scene.client.delete_resource(DEPLOYMENT, "named")
    named = scene.run("link", "change", link, "--server-name", "db.internal")
    assert named.returncode == 0, named.stderr
    del ssl["server_name"]
    scene.client.create_resource(DEPLOYMENT, **scene.resource("named", link, ssl=ssl))
    assert scene.doctor(link).failing is None
    scene.client.delete_resource(DEPLOYMENT, "named")
    psql(scene, "alter system set ssl = off", "select pg_reload_conf()")


def test_9_brokers_that_advertise_one_port_have_one_listener_each(scene: Scene) -> None:
    """Two servers behind one link, each at a port of its own; one that is not listed is named."""
    address = scene.customer.address
    done = scene.connected("cluster", f"19092={address}:{PORT}", f"19093={address}:8008")
    assert done.link.ports == (19092, 19093)
    assert done.address_map == {f"{address}:{PORT}": "link:cluster:19092", f"{address}:8008": "link:cluster:19093"}
    assert done.health is not None
    doors = {door.port: door.cause for door in done.health.probe.ports}
    assert doors == {19092: "", 19093: ""}
    scene.client.probe_resource(DEPLOYMENT, **scene.resource("one", "cluster", server="link:cluster:19092"))
    with pytest.raises(ClientError) as other:
        scene.client.probe_resource(DEPLOYMENT, **scene.resource("two", "cluster", server="link:cluster:19093"))
    assert other.value.code == "TEST_FAILED"  # it is another server, and no database
    scene.client.create_resource(DEPLOYMENT, **scene.resource("three", "cluster", server="link:cluster:19094"))
    found = scene.doctor("cluster")
    assert found.failing == "listeners"
    assert "19094" in hop(found, "listeners").evidence
    scene.disconnect("cluster")


def test_10_a_flow_that_was_forgotten_in_silence_loses_nothing(scene: Scene, link: str) -> None:
    """Flows are forgotten after 350 s without a packet: checks come sooner, and a lost connection is replaced."""
    assert Listener(protocol="tcp", port=PORT).idle_timeout > INTERVAL
    scene.client.create_resource(DEPLOYMENT, **scene.resource("quiet", link, write_timeout=2.0))
    action = {"kind": "sql", "resource": "quiet", "sql": "insert into readings(device) values (${device})"}
    sql = 'SELECT payload.device as device FROM "quiet/#"'
    scene.client.create_rule(DEPLOYMENT, name="quiet", sql=sql, actions=[action])
    until(lambda: scene.client.rule(DEPLOYMENT, "quiet"), lambda rule: rule.status == "running")
    publish(scene, "before")
    until(lambda: devices(scene), lambda found: found == ["before"])
    for vpc in (scene.client.deployment(DEPLOYMENT).vpc, scene.customer.vpc):
        forget = ["ip", "netns", "exec", scene.tieline.namespace(vpc), "conntrack", "-F"]
        subprocess.run(forget, capture_output=True, check=True)
    publish(scene, "after")
    until(lambda: devices(scene), lambda found: found == ["after", "before"])
    scene.client.delete_resource(DEPLOYMENT, "quiet", cascade=True)


def publish(scene: Scene, device: str) -> None:
    """One message at QoS 1."""
    mqtt = scene.client.deployment(DEPLOYMENT).mqtt
    send(mqtt.host, mqtt.port, [Reading("quiet/1", device, 1.0)])


def devices(scene: Scene) -> list[str]:
    url = f"postgresql://{USER}:{scene.customer.password}@{scene.customer.address}:{PORT}/{DATABASE}"
    return sorted(scene.inside("psql", "-AtX", url, "-c", "select distinct device from readings").split())


def test_12_a_link_in_use_is_not_deleted(scene: Scene, link: str) -> None:
    done = scene.run("disconnect", "--name", link, "--profile", "customer")
    assert done.returncode == 1
    assert "used by resource db" in done.stderr
    assert scene.doctor(link).failing is None


def test_13_a_second_database_needs_a_second_listener(scene: Scene, link: str) -> None:
    scene.client.create_resource(DEPLOYMENT, **scene.resource("second", link, server=f"link:{link}:8008"))
    found = scene.doctor(link)
    assert found.failing == "listeners"
    assert "8008" in hop(found, "listeners").evidence
    assert scene.doctor(link, witness=False).failing == "tcp"
    scene.client.delete_resource(DEPLOYMENT, "second")
    done = scene.connect(link, "--accept", "--to", f"{scene.customer.address}:8008")
    assert done.returncode == 0, done.stderr
    found = scene.doctor(link)
    assert found.failing is None
    assert "8008" in hop(found, "listeners").evidence


def test_12_cascade_takes_all_in_order(scene: Scene, link: str) -> None:
    done = scene.run("disconnect", "--name", link, "--profile", "customer", "--cascade")
    assert done.returncode == 0, done.stderr
    assert [item.name for item in scene.client.resources(DEPLOYMENT) if item.name == "db"] == []
    names = [group["TargetGroupName"] for group in scene.customer.elb.describe_target_groups()["TargetGroups"]]
    assert [name for name in names if name.startswith("tl-orders")] == []
