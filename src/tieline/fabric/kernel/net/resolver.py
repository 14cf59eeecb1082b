"""One dnsmasq in each VPC: the VPC's names and no others, on the resolver's address, for its hosts alone."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

from tieline.base import trees
from tieline.fabric.core.topology import Name, Vpc
from tieline.fabric.kernel.system import commands, glass, names, processes, runtime
from tieline.fabric.kernel.system.names import Footprint

TTL = 60  # seconds, as an NLB's and an endpoint's records have (aws.md, section 3)
LOG = "dnsmasq.log"
NAME = re.compile(r"[A-Za-z0-9_*][A-Za-z0-9_.*-]{0,254}", re.ASCII)  # what operations take is narrower (private_names)
CONFIGURATION = """\
# Unknown names do not exist; names are never asked for elsewhere.
user=nobody
no-resolv
no-hosts
no-ping
# CHAOS names, such as version.bind, tell what runs here.
no-ident
pid-file=
# A file of its own: dnsmasq hands whatever it logs to over to its user, be it a device of the whole machine.
log-facility={log}
bind-interfaces
listen-address={address}
local-ttl={ttl}
address=/#/
addn-hosts={hosts}
"""


async def converge(footprint: Footprint, vpc: Vpc) -> bool:
    """Have exactly one resolver that knows the VPC's names; True if anything changed."""
    directory = footprint.resolver(vpc.id)
    runtime.make(footprint, directory)
    hosts, settings = directory / "hosts", directory / "dnsmasq.conf"
    renamed = _put(hosts, hosts_file(vpc.names))
    changed = _put(settings, configuration(vpc, hosts))
    log = hosts.with_name(LOG)
    if not log.exists():
        trees.write(log, b"", 0o600, (glass.NOBODY, glass.NOBODY), lasting=False)
    running = _running(footprint, vpc.id)
    if len(running) == 1 and not changed:
        return renamed and processes.tell(running[0], signal.SIGHUP)
    await processes.end(running)
    await commands.write(*commands.entering(footprint.namespace(vpc.id), "dnsmasq", f"--conf-file={settings}"))
    return True


async def remove(footprint: Footprint, vpc: str) -> None:
    """End the VPC's resolver and remove its files."""
    await processes.end(_running(footprint, vpc))
    shutil.rmtree(footprint.resolver(vpc), ignore_errors=True)


def hosts_file(wanted: tuple[Name, ...]) -> str:
    """The names that have addresses, as hosts(5) writes them."""
    return "".join(f"{address} {_plain(name.name)}\n" for name in wanted for address in name.addresses)


def configuration(vpc: Vpc, hosts: Path) -> str:
    """dnsmasq's file. A record of another type makes a name exist without an address (NODATA rather than NXDOMAIN)."""
    empty = "".join(f"txt-record={_plain(name.name)}\n" for name in vpc.names if not name.addresses)
    log = hosts.with_name(LOG)
    return CONFIGURATION.format(address=vpc.resolver, ttl=TTL, hosts=hosts, log=log) + empty


def _plain(name: str) -> str:
    """A name as dnsmasq's files take it; raises ValueError for one that would be more than a name there."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a resolver")
    return name.rstrip(".")


def _running(footprint: Footprint, vpc: str) -> list[processes.Process]:
    within = processes.within(names.path(footprint.namespace(vpc)))
    return processes.found(lambda pid: within(pid) and processes.command(pid)[:1] == ["dnsmasq"])


def _put(path: Path, text: str) -> bool:
    """Write a file in one step that leaves no half of it; False where it holds this text already."""
    if path.exists() and path.read_text() == text:
        return False
    nobody = (glass.NOBODY, glass.NOBODY)  # whom the resolver becomes, and who reads it again
    trees.write(path, text.encode(), 0o400, nobody, lasting=False)
    return True
