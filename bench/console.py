"""The console: first paint, a change seen in an open page, fifty open pages, a thousand links in list and map.

Runs `tieline up` with Debian's Chromium. The fifty pages are connections as a browser makes them, with the page's own
parameters, because fifty browser tabs would be measured instead of the server. --json FILE keeps the figures.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import re
import secrets
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import socketio

sys.path[:0] = map(str, (Path(__file__).resolve().parents[1], Path(__file__).resolve().parents[1] / "tests"))
sys.path.remove(str(Path(__file__).resolve().parent))  # where this file has the name of a package of the tests

from bench._many_links import LINKS, frames, write_links  # noqa: E402

from console import browsing  # noqa: E402
from console.walk import sign_in  # noqa: E402
from world.running import Tieline, until  # noqa: E402

PAGES, SECONDS = 50, 20.0
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SEEN = """name => {
  window.seen = 0;
  const look = () => {
    if (document.body.innerText.includes(name)) window.seen = Date.now(); else requestAnimationFrame(look);
  };
  look();
}"""
OPTIONS = re.compile(r"query: (\{[^{}]*\})")


def paint(page: Any, url: str, rounds: int) -> list[float]:
    """Milliseconds from the request to the first content, the browser's cache warm after the first."""
    found = []
    for _ in range(rounds):
        page.goto(url)
        until(lambda: page.evaluate("!!performance.getEntriesByName('first-contentful-paint').length"))
        found.append(float(page.evaluate(PAINT)))
    return found


def change(page: Any, url: str, tieline: Tieline, rounds: int) -> list[float]:
    """Milliseconds from REST's answer to the change on the page."""
    page.goto(f"{url}/deployments")
    page.locator("#content:not([disabled])").wait_for()
    found = []
    with tieline.client() as client:
        for number in range(rounds):
            name = f"bench-{number}"
            page.evaluate(SEEN, name)
            time.sleep(0.3 * number / rounds)  # not in step with the console's own looks
            client.create_deployment(name=name, provider="external", mqtt={"host": "127.0.0.1", "port": 20000 + number})
            happened = time.time() * 1000
            seen = until(lambda: page.evaluate("window.seen"))
            found.append(seen - happened)
    return found


def server_of(state: Path) -> int:
    """The process that serves the console."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        words = entry.read_bytes().split(b"\0")
        if b"tieline.console" in words and str(state).encode() in words:
            return int(entry.parent.name)
    raise SystemExit("the console's process was not found")


def seconds_of(process: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def pages(url: str, key: str, process: int, changes: Any) -> dict[str, float]:
    """Shares of one core that the server takes for the open pages: at rest, and while something changes each second."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        await http.post(f"{url}/sign-in", data={"key": key})
        opened = [await _open(http, url) for _ in range(PAGES)]
    await asyncio.sleep(3)
    rest = await _share(process)
    changes.set()
    busy = await _share(process)
    changes.clear()
    for one in opened:
        await one.disconnect()
    return {"pages at rest": rest, "pages with a change each second": busy}


async def _open(http: httpx.AsyncClient, url: str) -> Any:
    """One page's connection."""
    text = (await http.get(f"{url}/")).text
    found = OPTIONS.search(text)
    if found is None:
        raise SystemExit("the page does not say how it connects")
    query = ast.literal_eval(found[1]) | {
        "tab_id": secrets.token_hex(8),
        "old_tab_id": "",
        "document_id": secrets.token_hex(8),
    }
    client = socketio.AsyncClient()
    there = f"{url.removesuffix('/console')}/?{httpx.QueryParams(query)}"
    await client.connect(there, socketio_path="/console/_nicegui_ws/socket.io", transports=["websocket"])
    return client


async def _share(process: int) -> float:
    before, began = seconds_of(process), time.monotonic()
    await asyncio.sleep(SECONDS)
    return (seconds_of(process) - before) / (time.monotonic() - began)


def changing(tieline: Tieline, wanted: threading.Event, over: threading.Event) -> None:
    """A description that changes each second, while it is wanted."""
    with tieline.client() as client:
        number = 0
        while not over.is_set():
            if wanted.is_set():
                number += 1
                client._send("PATCH", "/deployments/bench-0", {"description": f"change {number}"})
            time.sleep(1)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tieline = Tieline(Path(directory) / "state", f"tl-{secrets.token_hex(3)}")
        try:
            tieline.up()
            figures = measure(tieline, chosen.rounds)
        finally:
            tieline.down()
    for name, value in figures.items():
        print(f"{name:<42} {value:8.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1))


def measure(tieline: Tieline, rounds: int) -> dict[str, float]:
    """All figures."""
    url, key = f"{tieline.rest}/console", (tieline.state / "api-key").read_text().strip()
    figures = {}
    with browsing.browser() as running:
        page = browsing.page_of(running)
        sign_in(page, url, key)
        figures["first paint, median (ms)"] = statistics.median(paint(page, f"{url}/", rounds))
        changes = change(page, url, tieline, rounds)
        figures["change seen, median (ms)"] = statistics.median(changes)
        figures["change seen, slowest (ms)"] = max(changes)
    wanted, over = threading.Event(), threading.Event()
    worker = threading.Thread(target=changing, args=(tieline, wanted, over))
    worker.start()
    try:
        shares = asyncio.run(pages(url, key, server_of(tieline.state), wanted))
    finally:
        over.set()
        worker.join()
    figures |= {f"{PAGES} {name} (% of a core)": 100 * share for name, share in shares.items()}
    return figures | many(tieline, url, key)


def many(tieline: Tieline, url: str, key: str) -> dict[str, float]:
    """The list and the map of a deployment with a thousand links."""
    tieline.terminate()
    write_links(tieline.state, "bench-0")
    tieline.up()
    found = {}
    with browsing.browser() as running:
        page = browsing.page_of(running)
        sign_in(page, url, key)
        for place, path, ready in (("list", "/deployments/bench-0", "table a"), ("map", "/", "svg.map .vpc")):
            for what, value in frames(page, url + path, ready).items():
                found[f"{LINKS} links, {place}: {what} (ms)"] = value
    return found


if __name__ == "__main__":
    main()
