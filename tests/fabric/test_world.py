"""Transactions change the world and the store together, or not at all."""

from pathlib import Path

import pytest

from fabric.worlds import Fabric
from tieline.fabric.core.records import Vpc
from tieline.fabric.daemon.service import open_world
from tieline.store import Change, Conflict, SQLiteStore


def vpc(id: str, cidr: str = "10.0.0.0/16") -> Vpc:
    return Vpc(id=id, owner="1", cidr=cidr, default_acl="acl", main_route_table="rtb", dhcp_options="dopt")


def test_an_exception_undoes_everything() -> None:
    world = open_world(SQLiteStore(":memory:"))
    with world.transaction():
        world.put(vpc("a"))
    with pytest.raises(ZeroDivisionError), world.transaction():
        world.put(vpc("a", "10.1.0.0/16"))
        world.put(vpc("b"))
        world.delete(vpc("a"))
        _ = 1 / 0
    assert world.all(Vpc) == [vpc("a")]
    assert world.where(Vpc, "owner", "1") == [vpc("a")]
    assert world.revision == 1


def test_a_store_that_refuses_leaves_the_world_as_it_was() -> None:
    store = SQLiteStore(":memory:")
    world = open_world(store)
    with world.transaction():
        world.put(vpc("a"))
    store.commit([Change("vpc", "a", 1, b"{}")])  # somebody else wrote
    with pytest.raises(Conflict), world.transaction():
        world.put(vpc("a", "10.1.0.0/16"))
    assert world.all(Vpc) == [vpc("a")]


def test_a_restart_finds_everything_as_it_was(tmp_path: Path) -> None:
    first = Fabric(store=SQLiteStore(tmp_path / "f.db"))
    vpc_id, subnets = first.customer.network()
    first.customer.balancer(vpc_id, subnets)
    before, plan = first.dump(), first.plan()
    first.store.close()
    second = Fabric(seed=2, store=SQLiteStore(tmp_path / "f.db"))
    assert second.dump() == before
    assert second.plan() == plan
    second.store.close()
