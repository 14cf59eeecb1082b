"""A thousand links in one deployment, written into the platform's records, and what the browser makes of them."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from tieline.cloud.model.records import Deployment, LinkStatus, PrivateLink
from tieline.cloud.store.repository import Repository
from tieline.store import SQLiteStore

LINKS = 1000
CREATED = "2026-01-01T00:00:00Z"
SERVICE = "com.amazonaws.vpce.us-east-1.vpce-svc-{:017x}"
# The longest time between two frames while the page is scrolled to its end and back.
FRAMES = """() => new Promise(done => {
  const times = [performance.now()];
  const step = now => {
    times.push(now);
    window.scrollTo(0, document.body.scrollHeight * Math.abs(Math.sin(times.length / 20)));
    if (now - times[0] < 5000) requestAnimationFrame(step);
    else done(times.slice(1).map((time, n) => time - times[n]));
  };
  requestAnimationFrame(step);
})"""


def write_links(state: Path, deployment: str) -> None:
    """Put the records there, while the platform is down."""
    records = Repository(SQLiteStore(state / "cloud.db"))
    (found,) = records.all(Deployment, lambda one: one.name == deployment)
    links = [
        PrivateLink(
            id=f"link-{n:032x}",
            deployment=found.id,
            name=f"link-{n}",
            service_name=SERVICE.format(n),
            status=LinkStatus.FAILED,
            created=CREATED,
        )
        for n in range(LINKS)
    ]
    records.commit(write=links)
    records.close()


def frames(page: Any, address: str, ready: str) -> dict[str, float]:
    """Milliseconds until the page has what is looked for, and between its frames afterwards."""
    page.goto(address)
    page.locator(ready).first.wait_for()
    shown = float(page.evaluate("performance.now()"))
    page.wait_for_timeout(2000)
    gaps = [float(gap) for gap in page.evaluate(FRAMES)]
    return {"shown": shown, "frame": statistics.median(gaps), "longest frame": max(gaps)}
