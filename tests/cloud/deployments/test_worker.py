"""What was seen of a deployment is written over what it was seen of, and over nothing that was asked for meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tieline.base.secrets import Vault
from tieline.cloud.aws.client import Aws, AwsSettings
from tieline.cloud.deployments import boot, plan
from tieline.cloud.deployments.service import delete_deployment, switch
from tieline.cloud.deployments.worker import DeploymentWorker
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.records import Action, Address, Deployment, DeploymentStatus, MqttUser, Resource, Rule
from tieline.cloud.store.repository import Repository
from tieline.store import SQLiteStore

PLACE = Address(host="127.0.0.1", port=1)
PLANT = Deployment(
    id="dep-1", name="plant", provider="fabric", mqtt=PLACE, broker=PLACE, created="", token_hash="", joined=True
)
RUNNING = plan.Show(DeploymentStatus.RUNNING)


@pytest.mark.parametrize("asked", ["nothing", "another name", "stop", "delete"])
def test_what_was_asked_for_meanwhile_is_judged_anew(tmp_path: Path, asked: str) -> None:
    records = Repository(SQLiteStore(":memory:"))
    records.commit(write=[PLANT])
    machine = boot.Machine("/usr/bin/python3", PLACE, tmp_path)
    aws = Aws(AwsSettings("us-east-1", None, None, None))
    worker = DeploymentWorker(records, aws, Vault.open(tmp_path / "key"), machine, lambda _: None)
    seen = records.all(Deployment)[0]
    match asked:
        case "another name":
            records.commit(write=[seen.model_copy(update={"name": "mill"})])
        case "stop":
            switch(records, seen, "stopped", "ada")
        case "delete":
            delete_deployment(records, seen, "ada")
    worker._write(seen, lambda now: plan.shown(now, RUNNING, timestamp(time.time())))
    present = records.all(Deployment)[0]
    assert (present.status is DeploymentStatus.RUNNING) is (asked in ("nothing", "another name"))
    records.close()


async def test_what_is_put_into_a_deployment_on_its_way_out_goes_with_it(tmp_path: Path) -> None:
    records = Repository(SQLiteStore(":memory:"))
    records.commit(write=[PLANT.model_copy(update={"id": id, "provider": "external"}) for id in ("dep-1", "dep-2")])
    machine = boot.Machine("/usr/bin/python3", PLACE, tmp_path)
    aws = Aws(AwsSettings("us-east-1", None, None, None))
    gone: list[str] = []
    worker = DeploymentWorker(records, aws, Vault.open(tmp_path / "key"), machine, gone.append)
    delete_deployment(records, records.all(Deployment)[0], "ada")
    for place in ("dep-1", "dep-2"):
        resource = Resource(id=f"res-{place}", deployment=place, name="db", type="http", server="x", created="")
        rule = Rule(id=f"r-{place}", deployment=place, name="r", sql="x", actions=(Action(resource="db"),), created="")
        records.commit(
            write=[resource, rule, MqttUser(id=f"u-{place}", deployment=place, name="u", password="", created="")]
        )
    assert await worker.reconcile("dep-1") is None
    assert gone == ["dep-1"]
    for type in (Deployment, Resource, Rule, MqttUser):
        assert [one.id[-5:] for one in records.all(type)] == ["dep-2"], type
    records.close()
