"""Landlock: a process that can write and read files below given places alone, for good, with all that it starts."""

from __future__ import annotations

import ctypes
import mimetypes
import os
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tieline.fabric.kernel.system.syscalls import check, libc

# linux/landlock.h; the system calls have the same numbers on every architecture
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION, PATH_BENEATH = 1, 1
READ_FILE, READ_DIRECTORY = 1 << 2, 1 << 3
READING = READ_FILE | READ_DIRECTORY
WRITING = sum(1 << bit for bit in (1, *range(4, 13)))  # write a file; remove and make of every kind
TRUNCATE, SINCE_TRUNCATE = 1 << 14, 3  # and the version of Landlock that knows it
FILE = 1 << 1 | READ_FILE | TRUNCATE  # the rights that a file can have that is no directory
SIGNAL, SINCE_SIGNAL = 1 << 1, 6  # scope: signals reach nobody who is not as confined
RULESET, RULE = struct.Struct("=QQQ"), struct.Struct("=Qi")

WRITABLE = (Path("/dev/null"), Path("/dev/shm"))  # the latter for Python's semaphores
#: What programs and their libraries are made of, and what everybody may know of the machine.
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/proc", "/sys/devices/system/cpu")
DEVICES = ("/dev/urandom", "/dev/random", "/dev/zero")
#: Of /etc: names, time, and whom TLS trusts. No passwords, no private keys.
SETTINGS = tuple(
    Path("/etc", name)
    for name in (
        *("resolv.conf", "hosts", "hostname", "host.conf", "nsswitch.conf", "gai.conf", "services", "protocols"),
        *("localtime", "timezone", "passwd", "group", "os-release", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
        *("ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "ca-certificates", "ca-certificates.conf", "alternatives"),
        *("pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf", "pki/ca-trust", "crypto-policies", "static/ssl"),
    )
)
RESOLVER = Path("/etc/resolv.conf")
#: Where programs that manage networks keep the file that RESOLVER then is a link to, and replace it.
RESOLVERS = tuple(Path("/run", name) for name in ("systemd/resolve", "NetworkManager", "resolvconf", "connman"))
TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")  # in the environment


def program_files() -> tuple[Path, ...]:
    """What a Python program of this installation reads to run at all."""
    python = (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path, str(Path(sys.executable).resolve().parent))
    own = Path(__file__).parents[2]
    named = (*SYSTEM, *DEVICES, *filter(None, python), *mimetypes.knownfiles)
    trust = (value for name in TRUST if (value := os.environ.get(name)))
    return (*map(Path, named), *SETTINGS, *RESOLVERS, own, *map(Path, trust))


def restrict(writable: Iterable[Path], readable: Iterable[Path]) -> None:
    """Confine this process; does nothing where the kernel has no Landlock. Places that are not there are left out."""
    version = libc.syscall(CREATE_RULESET, None, 0, ASK_VERSION)
    if version <= 0:
        return
    writing = WRITING | (TRUNCATE if version >= SINCE_TRUNCATE else 0)
    attributes = RULESET.pack(writing | READING, 0, SIGNAL if version >= SINCE_SIGNAL else 0)
    size = RULESET.size if version >= SINCE_SIGNAL else 8  # older ones refuse fields that they do not know
    ruleset = libc.syscall(CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot make a ruleset: {os.strerror(number)}")
    for place in readable:
        _allow(ruleset, place, READING)
    for place in writable:
        _allow(ruleset, place, writing | READING)
    check(libc.syscall(RESTRICT_SELF, ruleset, 0), "confine itself")
    os.close(ruleset)


def _allow(ruleset: int, place: Path, rights: int) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
        allowed = rights if place.is_dir() else rights & FILE
        check(libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, RULE.pack(allowed, handle), 0), f"allow {place}")
        os.close(handle)
