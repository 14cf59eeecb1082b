"""A store that refuses: callers hear why, nothing is half done, links go on, and work resumes once it is writable."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from world.faults.fabric import Fabric
from world.faults.linked import PORT, Linked
from world.running import until

pytestmark = pytest.mark.world
MEBIBYTES = 8


@pytest.fixture
def small(tmp_path: Path, prefix: str) -> Iterator[Fabric]:
    """A fabric whose state directory is a small disk of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "tmpfs", str(disk)], check=True)
    running = Fabric(disk / "state", prefix)
    try:
        yield running
    finally:
        running.down()
        subprocess.run(["umount", str(disk)], check=True)


def refused(linked: Linked) -> ClientError:
    """What a customer hears who wants another VPC."""
    with pytest.raises(ClientError) as caught:
        linked.customer.ec2.create_vpc(CidrBlock="10.9.0.0/16")
    return caught.value


def test_a_full_disk_refuses_changes_and_keeps_links(small: Fabric) -> None:
    small.up()
    linked = Linked(small)
    until(linked.passes)
    vpcs = linked.customer.ec2.describe_vpcs()["Vpcs"]
    filler = small.state / "filler"
    fill(filler)
    error = refused(linked)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert "full" in error.response["Error"]["Message"]
    assert linked.customer.ec2.describe_vpcs()["Vpcs"] == vpcs
    assert linked.passes(10)
    small.kill()
    filler.unlink()
    small.up()
    assert linked.customer.ec2.describe_vpcs()["Vpcs"] == vpcs
    linked.join()


def test_records_catch_up_without_a_restart_once_there_is_room(small: Fabric) -> None:
    small.up()
    linked = Linked(small)
    filler = small.state / "filler"
    fill(filler)
    with pytest.raises(ClientError):
        linked.platform.endpoint(linked.consumer, linked.service_name, linked.subnets)
    filler.unlink()
    linked.join()


def test_a_locked_store_refuses_with_its_reason_and_recovers(mortal: Fabric) -> None:
    mortal.up()
    linked = Linked(mortal)
    lock = sqlite3.connect(mortal.state / "fabric.db", isolation_level=None)
    lock.execute("begin immediate")
    error = refused(linked)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert "locked" in error.response["Error"]["Message"]
    assert linked.passes(10)
    lock.execute("rollback")
    lock.close()
    linked.join()


def test_a_target_whose_health_could_not_be_written_is_probed_on(mortal: Fabric) -> None:
    mortal.up()
    linked = Linked(mortal)
    lock = sqlite3.connect(mortal.state / "fabric.db", isolation_level=None)
    lock.execute("begin immediate")
    chain = f"type filter hook input priority 0; tcp dport {PORT} reject with tcp reset;"
    mortal.inside(linked.server, "nft", f"table ip refusing {{ chain enter {{ {chain} }}; }}").check_returncode()
    until(mortal.log.read_text, lambda log: "the health of" in log, seconds=90)
    assert linked.customer.health(linked.group) == ["healthy"], "what is not written is not told"
    lock.execute("rollback")
    lock.close()
    until(lambda: linked.customer.health(linked.group), lambda states: states == ["unhealthy"], seconds=60)


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with pytest.raises(OSError, match="No space"), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
