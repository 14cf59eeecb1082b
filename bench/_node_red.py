"""Node-RED as a sink of the benchmark: brought into the build directory by its pins, its flow as a user would build it.

python bench/_node_red.py PORT SERVER USER PASSWORD DATABASE DIRECTORY

The process becomes Node-RED, so that its CPU time can be read, and says when its subscription is made. The PostgreSQL
node has its editor's defaults: ten connections, and ten seconds that a message waits for one before it is dropped.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from paho.mqtt import subscribe

PLACE: Final = Path(__file__).resolve().parents[1] / "build" / "node-red"
STAMP = PLACE / "installed"
NODE = "node-red-contrib-postgresql"  # Apache-2.0, as Node-RED; taken from its repository, whose releases are tags
REPOSITORY: Final = f"https://github.com/alexandrainst/{NODE}"
COMMIT: Final = "f5f025e66e0dd5aa21398a9ae33c399cfd2b8351"  # 0.16.2
PINS: Final = {"node-red": "4.1.15", "pg": "8.23.1", NODE: f"file:{NODE}"}
NPM = ("npm", "install", "--install-links", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
CLIENT, READY = "node-red", "node-red/ready"
START_SECONDS = 120  # on a busy machine
INSTALL_SECONDS = 600

SETTINGS = """module.exports = {
    flowFile: "flows.json",
    httpAdminRoot: false,
    httpNodeRoot: false,
    telemetry: { enabled: false },
}
"""
RULE = """const found = msg.payload;
if (found.temp >= 20 && found.ts >= 0) {
    msg.params = [found.id, found.temp, found.ts, msg.topic];
    return msg;
}
"""
INSERT = "insert into m(device, temp, ts, topic) values ($1, $2, $3, $4)"


def install() -> str:
    """Bring Node-RED into the build directory, once; returns why it cannot be had, "" where it is there."""
    wanted = json.dumps({"private": True, "dependencies": PINS, "description": COMMIT})
    there = STAMP.exists() and STAMP.read_text() == wanted
    if missing := [name for name in (("node",) if there else ("node", "npm", "git")) if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)}"
    if there:
        return ""
    print("installing Node-RED into build/node-red", flush=True)
    shutil.rmtree(PLACE, ignore_errors=True)
    (PLACE / NODE).mkdir(parents=True)
    (PLACE / "package.json").write_text(wanted)
    git = ("git", "-C", NODE)
    fetch, checkout = (*git, "fetch", "-q", "--depth", "1", REPOSITORY, COMMIT), (*git, "checkout", "-q", COMMIT)
    for command in ((*git, "init", "-q"), fetch, checkout, NPM):
        if why := failure(command):
            return why
    STAMP.write_text(wanted)
    return ""


def failure(command: tuple[str, ...]) -> str:
    """Why a command failed, in its own last words; "" where it did not."""
    try:
        subprocess.run(command, cwd=PLACE, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.CalledProcessError as error:
        return f"{command[0]} failed: {(error.stderr.strip().splitlines() or ['it does not say why'])[-1]}"
    except subprocess.TimeoutExpired:
        return f"{command[0]} took more than {INSTALL_SECONDS} s"
    return ""


def flow(port: int, server: str, database: str) -> list[dict[str, Any]]:
    """From the topic through the rule into the table; what is not named has the editor's default."""
    host, _, number = server.rpartition(":")
    birth = {"birthTopic": READY, "birthQos": "1", "birthRetain": "true", "birthPayload": "ready", "birthMsg": {}}
    session = {"clientid": CLIENT, "cleansession": False, "protocolVersion": "4", "keepalive": "60"}
    where = {"broker": "127.0.0.1", "port": str(port), "autoConnect": True, "usetls": False}
    login = {"userFieldType": "env", "userEnv": "DATABASE_USER"}
    password = {"passwordFieldType": "env", "passwordEnv": "DATABASE_PASSWORD"}
    address = {"host": host, "port": number, "database": database, "ssl": "false"}
    pool = {"max": "10", "idle": "1000", "connectionTimeout": "10000"}
    types = {"hostFieldType": "str", "databaseFieldType": "str", "sslFieldType": "bool"}
    types |= {f"{name}FieldType": "num" for name in ("port", *pool)}
    table = {"query": INSERT, "postgreSQLConfig": "database", "split": False, "rowsPerMsg": 1, "outputs": 1}
    topic = {"topic": "t/#", "qos": "1", "datatype": "json", "broker": "broker"}
    return [
        {"id": "flow", "type": "tab", "label": "rows"},
        {"id": "broker", "type": "mqtt-broker", **where, **session, **birth},
        {"id": "database", "type": "postgreSQLConfig", **address, **pool, **types, **login, **password},
        {"id": "in", "type": "mqtt in", "z": "flow", **topic, "wires": [["rule"]]},
        {"id": "rule", "type": "function", "z": "flow", "func": RULE, "outputs": 1, "wires": [["insert"]]},
        {"id": "insert", "type": "postgresql", "z": "flow", **table, "wires": [[]]},
    ]


def say_when_ready(port: int) -> None:
    """In a process of its own: Node-RED sends its birth message after its subscriptions; retained, it waits for us."""
    if os.fork() == 0:
        signal.alarm(START_SECONDS)
        logging.getLogger("paho").setLevel(logging.CRITICAL)  # which calls the end of its own connection an error
        subscribe.simple(READY, qos=1, hostname="127.0.0.1", port=port)  # type: ignore[no-untyped-call]
        print("ready", flush=True)
        os._exit(0)


def main(port: int, server: str, user: str, password: str, database: str, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "settings.js").write_text(SETTINGS)
    (directory / "flows.json").write_text(json.dumps(flow(port, server, database), indent=2))
    say_when_ready(port)
    log = os.open(directory / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    environment = {**os.environ, "DATABASE_USER": user, "DATABASE_PASSWORD": password}
    program = str(PLACE / "node_modules" / "node-red" / "red.js")
    os.execvpe("node", ["node", program, "--userDir", str(directory)], environment)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5], Path(sys.argv[6]))
