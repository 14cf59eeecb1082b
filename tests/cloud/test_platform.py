"""The platform as one object: what concerns many deployments is written once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tieline.base.secrets import Vault
from tieline.cloud.aws.accounts import Accounts
from tieline.cloud.aws.client import Aws, AwsSettings
from tieline.cloud.deployments.boot import Machine
from tieline.cloud.model.records import Address, Deployment
from tieline.cloud.platform.platform import Platform
from tieline.cloud.store.repository import Repository
from tieline.cloud.store.retention import Retention
from tieline.store import Change, SQLiteStore

PLACE = Address(host="127.0.0.1", port=1)
MANY = 200


class Counting(SQLiteStore):
    """A store that counts its commits: each waits for the disk, and everybody for it."""

    commits = 0

    def commit(self, changes: Sequence[Change]) -> None:
        super().commit(changes)
        self.commits += 1


async def test_a_change_for_all_deployments_is_one_write(tmp_path: Path) -> None:
    store = Counting(tmp_path / "cloud.db")
    records = Repository(store)
    records.commit(
        write=[
            Deployment(
                id=f"dep-{n}", name=f"d{n}", provider="external", mqtt=PLACE, broker=PLACE, created="", token_hash=""
            )
            for n in range(MANY)
        ]
    )
    accounts = Accounts(Aws(AwsSettings("us-east-1", None, None, None)))
    platform = Platform(records, accounts, Vault.open(tmp_path / "key"), Machine(sys.executable, PLACE, tmp_path))
    store.commits = 0
    platform.retained(Retention(), Retention(metrics_minutes=120))
    assert store.commits == 1
    assert {one.revision for one in records.all(Deployment)} == {2}
    platform.retained(Retention(), Retention(traffic_minutes=20))
    platform.changed("dep-1", "nobody")
    assert [one.revision for one in records.all(Deployment) if one.id in ("dep-1", "dep-2")] == [3, 2]
    await platform.close()
