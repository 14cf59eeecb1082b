"""What this machine gives for the border around instances, and how to get the rest: `tieline doctor --host`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from tieline.fabric.kernel import rootless
from tieline.fabric.kernel.instance import calls, control_groups
from tieline.fabric.kernel.instance.boot import counts_processes
from tieline.fabric.kernel.instance.space import IDS
from tieline.fabric.kernel.instance.users import FIRST
from tieline.fabric.kernel.system import glass
from tieline.fabric.kernel.system.landlock import ASK_VERSION, CREATE_RULESET, SINCE_SIGNAL
from tieline.fabric.kernel.system.syscalls import NEW_MOUNT, NEW_USER, PRIVATE, RECURSIVE, check, clone, libc, mount

POLL = 0.002
FILTERS = Path("/proc/sys/kernel/seccomp/actions_avail")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the border: whether the machine gives it, what was found, and how to get it where it does not."""

    part: str
    given: bool
    found: str
    get: str = ""


def look() -> list[Part]:
    """Every part; what takes root to find out is not given to anybody else."""
    return [_calls(), _closed(), _ids(), *_groups(), _processes(), _platform(), _ordinary()]


def _calls() -> Part:
    get = "apt install libseccomp2, and a kernel with CONFIG_SECCOMP_FILTER; without it no instance is started"
    try:
        size = len(calls.program()) // 8
    except calls.NoFilter as error:
        return Part(part="system calls are filtered", given=False, found=str(error), get=get)
    return Part(
        part="system calls are filtered",
        given=FILTERS.exists(),
        found=f"a filter of {size} instructions" if FILTERS.exists() else "this kernel has no filters",
        get="" if FILTERS.exists() else get,
    )


def _closed() -> Part:
    part = "files that are closed on the machine are closed inside, whenever they are closed"
    if os.geteuid() != 0:
        return Part(part=part, given=True, found="without root, an instance's root is an ordinary user of the machine")
    trouble = _in_a_process(_layered)
    return Part(
        part=part,
        given=not trouble,
        found=trouble or "an overlay of two layers",
        get="run tieline on a filesystem that is no overlay itself (not in a container without a volume for /); "
        "until then closed files are removed from an instance's view at its first start only"
        if trouble
        else "",
    )


def _layered() -> None:
    """Look at the machine through a glass, with a layer on it, in a mount namespace that goes with this process."""
    check(libc.unshare(NEW_MOUNT), "make a mount namespace")
    check(libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None), "detach the mounts")
    directory = Path(tempfile.gettempdir())
    mount("tmpfs", directory, "tmpfs", 0, "mode=0755")
    glass.prepare(directory / "stage")
    for name in ("seen", "upper", "work", "root"):
        Path(name).mkdir()
    glass.view("/", "seen", None, 0)
    mount("overlay", "root", "overlay", 0, "lowerdir=seen,upperdir=upper,workdir=work")


def _ids() -> Part:
    part = "an instance's root is nobody's root on the machine"
    if os.geteuid() != 0:
        return Part(part=part, given=True, found="without root, it is the user who starts tieline")
    trouble = _in_a_process(_other_ids)
    return Part(
        part=part,
        given=not trouble,
        found=trouble or "files can be shown with other ids",
        get="Linux 5.12 (5.19 for overlays), and / and the state directory on ext4, XFS, Btrfs or the like"
        if trouble
        else "",
    )


def _other_ids() -> None:
    """Show / with the ids of a user namespace that goes with this process."""
    if (child := os.fork()) == 0:
        libc.unshare(NEW_USER)
        signal.pause()
    own = Path("/proc/self/ns/user").readlink()
    try:
        while Path(f"/proc/{child}/ns/user").readlink() == own:
            if os.waitpid(child, os.WNOHANG)[0]:
                raise OSError("no user namespace can be made")
            time.sleep(POLL)
        for kind in ("gid", "uid"):
            Path(f"/proc/{child}/{kind}_map").write_text(f"0 {FIRST} {IDS}\n")
        users = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        os.close(clone("/", users))
    finally:
        os.kill(child, signal.SIGKILL)


def _groups() -> list[Part]:
    offered = {
        controller: one
        for one in control_groups.here()
        for controller in one.controllers
        if os.geteuid() == 0 and os.access(one.place, os.W_OK)
    }
    get = (
        "control groups that may be written to: run tieline as root, in a container with --cgroupns=host "
        "-v /sys/fs/cgroup:/sys/fs/cgroup:rw, and boot without cgroup_disable="
    )
    told = {"memory": "memory is limited by instance type", "cpu": "processors are limited by instance type"}
    return [
        Part(
            part=part,
            given=name in offered,
            found=f"control groups, version {offered[name].version}" if name in offered else "none that can be used",
            get="" if name in offered else get,
        )
        for name, part in told.items()
    ]


def _processes() -> Part:
    by_group = os.geteuid() == 0 and any(
        "pids" in one.controllers and os.access(one.place, os.W_OK) for one in control_groups.here()
    )
    by_space = counts_processes(os.uname().release)
    ways = [way for way, there in (("a control group", by_group), ("its process namespace", by_space)) if there]
    return Part(
        part="processes and threads are limited",
        given=bool(ways),
        found=" and ".join(ways) or "nothing that counts them",
        get="" if ways else "Linux 6.14, or control groups that may be written to",
    )


def _platform() -> Part:
    version = int(libc.syscall(CREATE_RULESET, None, 0, ASK_VERSION))
    return Part(
        part="the platform writes to its own directory alone",
        given=version > 0,
        found=f"Landlock {version}, which keeps signals in {'as well' if version >= SINCE_SIGNAL else 'from 6 on'}"
        if version > 0
        else "no Landlock",
        get="" if version > 0 else "Linux 5.13 with lsm=landlock,… (6.12 keeps signals in as well)",
    )


def _ordinary() -> Part:
    lacking = [name for name in ("unshare", "newuidmap") if shutil.which(name) is None]
    closed = [
        f"{setting}={value}"
        for setting, value in (("unprivileged_userns_clone", "0"), ("apparmor_restrict_unprivileged_userns", "1"))
        if _setting(setting) == value
    ]
    return Part(
        part="an ordinary user may run tieline, whose instances' root is then nobody's",
        given=not lacking and not closed,
        found=", ".join([*(f"{name} is missing" for name in lacking), *closed]) or "user namespaces and newuidmap",
        get=rootless.ADVICE if lacking or closed else "",
    )


def _setting(name: str) -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel", name).read_text().strip()
    return ""


def _in_a_process(work: Callable[[], None]) -> str:
    """What went wrong with it in a process of its own, "" where nothing did."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        with suppress(BaseException):
            try:
                work()
            except OSError as error:
                os.write(write, str(error).encode())
        sys.stdout.flush()
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said
