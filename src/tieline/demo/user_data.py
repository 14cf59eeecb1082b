"""User data of the demo's instances: a PostgreSQL with a health port, and a look around from inside its VPC."""

from __future__ import annotations

import json

DATABASE, USER = "plant", "writer"
PORT, HEALTH_PORT = 5432, 8008
COUNT = "select count(*), count(distinct device) from readings"
ROWS = "rows in the table and devices among them: "  # begins a line of the database's console
SCANNED = "answered: "  # begins the last line of the scanner's console

# A real PostgreSQL. The health port says what a balancer wants to know, as Patroni's does: 200 while the database
# takes connections, 503 while it does not. The console tells each change of the table's size, so that the database's
# owner can read it through AWS's API.
_DATABASE = r"""#!/bin/sh
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
home=/var/lib/tieline-demo
mkdir -p $home && chown postgres $home && cd $home
as="setpriv --reuid=postgres --regid=postgres --clear-groups"
printf '%s' '{password}' > password && chown postgres password
$as $bin/initdb -D data -U postgres --pwfile=password --auth=scram-sha-256 --no-sync >/dev/null
rm password
echo 'host {database} {user} 10.0.0.0/16 scram-sha-256' >> data/pg_hba.conf
$as $bin/postgres -D data -c listen_addresses='*' -c port={port} -c unix_socket_directories=$home &
export PGHOST=$home PGPORT={port} PGUSER=postgres PGPASSWORD='{password}'
until $bin/pg_isready -q; do sleep 0.1; done
$bin/psql -qc "create role {user} login password '{password}'" -c 'create database {database} owner {user}'
$bin/psql -q -d {database} -c 'create table readings(device text, temp float8, ts bigint)' \
    -c 'alter table readings owner to {user}'
echo 'the database is ready'
(
    last=
    while sleep 1; do
        now=$($bin/psql -AtqX -F ' ' -d {database} -c '{count}') || continue
        [ "$now" = "$last" ] || echo "{rows}$now"
        last=$now
    done
) &
exec python3 -c '
import http.server, subprocess, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = subprocess.run([sys.argv[1], "-q"]).returncode == 0
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("", {health}), Health).serve_forever()
' $bin/pg_isready
"""

# Connects to every address and port but its own, and looks a name up; the console's last line tells what answered.
_SCANNER = r"""#!/bin/sh
exec python3 - <<'END'
import asyncio, json, socket, subprocess
own = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
wanted = json.loads(r'''{wanted}''')
async def knock(gate, address, port):
    async with gate:
        try:
            async with asyncio.timeout(1):
                _, writer = await asyncio.open_connection(address, port)
        except ConnectionRefusedError:
            return f"{address}:{port} refused"
        except (OSError, TimeoutError):
            return None
        writer.close()
        return f"{address}:{port}"
async def main():
    gate = asyncio.Semaphore(400)
    knocks = [knock(gate, a, p) for a in wanted["addresses"] if a not in own for p in wanted["ports"]]
    found = [one for one in await asyncio.gather(*knocks) if one]
    try:
        found.append("the name is " + socket.gethostbyname(wanted["name"]))
    except OSError:
        pass
    print("{scanned}" + json.dumps(found), flush=True)
asyncio.run(main())
END
"""


def database(password: str) -> str:
    """The user data of an instance that runs PostgreSQL; `password` has letters, digits, - and _ only."""
    values = {"password": password, "database": DATABASE, "user": USER, "rows": ROWS, "count": COUNT}
    return _filled(_DATABASE, values | {"port": str(PORT), "health": str(HEALTH_PORT)})


def scanner(addresses: list[str], ports: list[int], name: str) -> str:
    """The user data of an instance that tries all of these addresses and ports, and looks the name up."""
    wanted = json.dumps({"addresses": addresses, "ports": ports, "name": name})
    return _filled(_SCANNER, {"wanted": wanted, "scanned": SCANNED})


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text
