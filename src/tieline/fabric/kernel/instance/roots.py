"""An instance's root: its own layer over a view of the machine's software, with all that is secret or shared hidden.

What is in the layer is the instance's, links included: it is entered by `Tree` alone, which follows none of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tieline.base.trees import InTheWay, Tree
from tieline.fabric.kernel.instance import views
from tieline.fabric.kernel.instance.views import Closed
from tieline.fabric.kernel.system import glass
from tieline.fabric.kernel.system.syscalls import (
    BIND,
    DETACH,
    NO_DEV,
    NO_EXEC,
    NO_SUID,
    PRIVATE,
    READ_ONLY,
    RECURSIVE,
    REMOUNT,
    as_user,
    check,
    libc,
    mount,
    protect,
)

SCRIPT = "var/lib/cloud/instance/scripts/part-001"  # where cloud-init keeps user data that is a script
PRIVATE_DIRECTORIES = ("run", "tmp", "dev/shm")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# As container runtimes have it: with user id 0, writing here would reach the whole machine.
PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
# The last six tell of the machine's memory to its root alone, who an instance's root is where ids are shared.
PROC_HIDDEN = (
    *("kcore", "keys", "timer_list", "sched_debug"),
    *("kpagecount", "kpageflags", "kpagecgroup", "vmallocinfo", "slabinfo", "pagetypeinfo"),
)
SYS_HIDDEN = ("firmware", "devices/virtual/powercap")
VAR = ("lib", "log", "tmp", "cache", "spool", "opt")
# Kernel views, and memory: what is in them is the machine's and not installed software.
PSEUDO = {"proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "ramfs", "cgroup", "cgroup2", "mqueue", "nsfs", "securityfs"}
PSEUDO |= {"debugfs", "tracefs", "bpf", "pstore", "hugetlbfs", "efivarfs", "configfs", "binfmt_misc", "autofs"}
VIEWED = "viewed"  # beside an instance's layers once its /etc is its own
SCANNED = "scanned"  # and once closed files are removed from its view, where no glass keeps them closed
NOTHING = Closed([], [])
OWN, SEEN, ROOT = "own", "seen", "root"  # on the stage: the instance's layers, the machine's software, both together


def furnish(specification: dict[str, Any], users: int | None, owner: int) -> None:
    """Make this process's root one of the instance's own over a view of the machine's software.

    `users`: the user namespace that the instance's ids are of, held open, where it has one; its root is `owner` here.
    """
    place = Path(specification["place"])
    check(libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None), "detach the mounts")
    submounts = real_mounts()
    glass.prepare(place / "root")
    Path(ROOT).mkdir()
    hidden = overlay(place / "layers", users, owner)
    with Tree.open(ROOT) as root, Tree.open(place / "layers") as layers:
        with as_user(owner, 0, powerful=True):
            for point in submounts:
                show(point, root, users, owner)
            kernel_views(root)
            empty(root)
            keep(root, specification["kept"], users, owner)
            hide(root, specification["hidden"], specification["kept"])
        become(root)
        settle(layers, hidden, owner)
    with as_user(owner, 0, powerful=True), Tree.open("/") as root:
        write_files(root, specification)


def empty(root: Tree) -> None:
    """Begin with nothing in what is shared and short-lived on the machine."""
    for name in PRIVATE_DIRECTORIES:
        mode = "mode=0755" if name == "run" else "mode=1777"
        with root.below(name, make=0o755), root.place(name) as point:
            mount("tmpfs", point, "tmpfs", NO_SUID | NO_DEV, mode)


def become(root: Tree) -> None:
    """Make this the mount namespace's own root, so that no chroot inside leads out (pivot_root(2), "." twice)."""
    os.fchdir(root.handle)
    check(libc.pivot_root(b".", b"."), "change the root")
    check(libc.umount2(b".", DETACH), "leave the machine's root")
    os.chdir("/")


def overlay(layers: Path, users: int | None, owner: int) -> Closed:
    """Mount the instance's layers over the machine's software; what of that has to be removed at the first start.

    Memory holds the layers where the state directory's filesystem cannot.
    """
    layers.mkdir(parents=True, exist_ok=True)
    Path(OWN).mkdir()
    if Path("/proc/self/uid_map").read_text().split()[:2] != ["0", "0"]:
        piecewise(layers)
        return NOTHING
    with suppress(OSError):
        return layered(layers, users, owner)
    mount("tmpfs", layers, "tmpfs", 0, "mode=0755")
    return layered(layers, users, owner)


def layered(layers: Path, users: int | None, owner: int) -> Closed:
    """Through a glass where one more layer is possible; a machine whose own root is an overlay has one too many."""
    with Tree.open(layers) as own, own.below("upper", make=0o755) as upper:
        settings = NOTHING
        if own.found(VIEWED) is None:
            settings = views.closed(["/etc"])
            settings.files.extend(filter(os.path.isfile, views.LOCKS))  # for its own package manager to make anew
            views.reopen(own)
        views.conceal(upper, settings.directories)
    with as_user(owner, 0, powerful=True), glass.placed(str(layers), OWN, users):
        try:
            stack(partial(glass.view, users=users, owner=owner))
            return settings
        except OSError:
            libc.umount2(ROOT.encode(), DETACH)
            stack(partial(glass.put, users=users))
    if (layers / SCANNED).exists():
        return settings
    return views.closed(["/etc"] if not (layers / VIEWED).exists() else [], everywhere=True)


def stack(see: Callable[[str, str], None]) -> None:
    """The instance's layer over the machine's software, and over the lists of what is installed."""
    merge("/", ROOT, "", see)
    with Tree.open(ROOT) as root:
        for path in filter(os.path.isdir, views.PACKAGES):
            with root.place(path) as point:
                merge(path, point, Path(path).name, see)


def merge(source: str, target: str, name: str, see: Callable[[str, str], None]) -> None:
    """Mount a layer of the instance's over a directory of the machine's, as it is to be seen."""
    Path(SEEN).mkdir(exist_ok=True)
    see(source, SEEN)
    try:
        layer(SEEN, target, name)
    finally:
        check(libc.umount2(SEEN.encode(), DETACH), "leave the view to its layer")


def layer(lower: str, target: str, name: str) -> None:
    upper, work = Path(OWN, name, "upper"), Path(OWN, name, "work")
    for directory in (upper, work):
        directory.mkdir(parents=True, exist_ok=True)
    mount("overlay", target, "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work}")


def piecewise(own: Path) -> None:
    """In a user namespace the machine's files stay its root's: software is shown, what is written is made anew.

    /etc is a copy of what can be read of it; all else begins empty, in the state directory.
    """
    mount("tmpfs", ROOT, "tmpfs", 0, "mode=0755")
    with Tree.open(own) as layers, Tree.open(ROOT) as root:
        for entry in sorted(Path("/").iterdir()):
            if entry.is_symlink():
                root.link(entry.name, os.fspath(entry.readlink()))
            elif entry.is_dir():
                with root.below(entry.name, make=0o755):
                    pass
                if views.is_software(str(entry)):
                    software(str(entry), root)
                elif str(entry) not in views.ANEW:
                    with layers.below(entry.name, make=0o755):
                        pass
                    with layers.place(entry.name) as source, root.place(entry.name) as point:
                        mount(source, point, "", BIND)
        if layers.found(VIEWED) is None:
            copy(Path("/etc"), root, "etc")
            views.lock(root)
            layers.write(VIEWED, b"", lasting=False)
        for name in VAR:
            with root.below(f"var/{name}", make=0o755) as directory:
                if name == "tmp":
                    directory.set_mode(0o1777)


def software(path: str, root: Tree) -> None:
    """Show a directory of the machine's as everybody may read it, or as its user may where mounts lie below it."""
    try:
        with root.place(path) as point:
            glass.view(path, point, None, 0)
    except OSError:
        with root.place(path) as point:
            mount(path, point, "", BIND | RECURSIVE)
        with root.place(path) as point:
            protect(point)


def show(path: str, root: Tree, users: int | None, owner: int) -> None:
    """Show what is mounted on the machine in the same place, unless the instance has something else there."""
    with suppress(FileNotFoundError, InTheWay):
        if not Path(path).is_dir():
            return bind(root, path, path)
        with root.place(path) as point:
            try:
                look_at(path, point, users, owner)
            except OSError:  # not every filesystem can lie below a layer
                bind(root, path, path)


def look_at(path: str, point: str, users: int | None, owner: int) -> None:
    """Show what everybody may read, with the instance's ids where the filesystem allows that."""
    try:
        glass.view(path, point, users, owner)
    except OSError:
        if users is None:
            raise
        glass.view(path, point, None, owner)


def bind(root: Tree, path: str, source: str) -> None:
    """Show something of the machine's, read-only."""
    with root.place(path) as point:
        mount(source, point, "", BIND)
    with root.place(path) as point:  # what is mounted there now
        check(libc.mount(None, point.encode(), None, BIND | READ_ONLY | REMOUNT, None), f"protect {path}")


def copy(source: Path, target: Tree, path: str) -> None:
    """What everybody may read of a directory."""
    with target.below(path, make=0o755):
        pass
    for entry in os.scandir(source):
        place = f"{path}/{entry.name}"
        with suppress(OSError):
            if entry.is_symlink():
                target.link(place, os.readlink(entry))  # noqa: PTH115 - of what scandir found
            elif entry.is_dir():
                copy(Path(entry), target, place)
            elif entry.is_file() and entry.stat().st_mode & 0o004:
                target.write(place, Path(entry).read_bytes(), entry.stat().st_mode & 0o777, lasting=False)


def real_mounts() -> list[str]:
    """Mount points of filesystems with software in them."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        point, kind = fields.split()[4].encode().decode("unicode_escape"), rest.split()[0]
        if kind not in PSEUDO and views.is_software(point):
            found.append(point)
    return found


def kernel_views(root: Tree) -> None:
    """New /proc, /sys and /dev: the machine's disks and settings are not among them."""
    with root.below("proc", make=0o555), root.place("proc") as point:
        mount("proc", point, "proc", NO_SUID | NO_DEV | NO_EXEC)
    for name in PROC_READ_ONLY:
        if root.found(f"proc/{name}"):
            with root.place(f"proc/{name}") as point:
                bind(root, f"proc/{name}", point)
    for name in PROC_HIDDEN:
        if root.found(f"proc/{name}"):
            bind(root, f"proc/{name}", "/dev/null")
    with root.below("sys", make=0o555), root.place("sys") as point:
        mount("sysfs", point, "sysfs", NO_SUID | NO_DEV | NO_EXEC | READ_ONLY)
    for name in SYS_HIDDEN:
        if root.found(f"sys/{name}"):
            with root.place(f"sys/{name}") as point:
                mount("tmpfs", point, "tmpfs", NO_SUID | NO_DEV | NO_EXEC | READ_ONLY, "mode=0555")
    with root.below("dev", make=0o755), root.place("dev") as point:
        mount("tmpfs", point, "tmpfs", NO_SUID | NO_EXEC, "mode=0755")
    with root.below("dev") as devices:
        furnish_devices(devices)


def furnish_devices(devices: Tree) -> None:
    for name in DEVICES:
        devices.write(name, b"", lasting=False)
        with devices.place(name) as point:
            mount(f"/dev/{name}", point, "", BIND)
    with devices.below("pts", make=0o755), devices.place("pts") as point:
        mount("devpts", point, "devpts", NO_SUID | NO_EXEC, "newinstance,ptmxmode=0666,mode=0620")
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0")):
        devices.link(name, target)
    for name, number in (("stdout", 1), ("stderr", 2)):
        devices.link(name, f"/proc/self/fd/{number}")


def keep(root: Tree, kept: list[str], users: int | None, owner: int) -> None:
    """Show directories that lie where an instance's files begin empty, such as an installation in somebody's home.

    Of one that everybody may enter, what everybody may read; one that is closed altogether is shown as it is, since
    tieline itself is in it.
    """
    for path in kept:
        if views.is_empty(path):
            with root.below(path, make=0o755):
                pass
            if Path(path).stat().st_mode & 0o005 != 0o005:
                with root.place(path) as point:
                    glass.put(path, point, users)
                with root.place(path) as point:
                    protect(point)
            else:
                with root.place(path) as point:
                    look_at(path, point, users, owner)


def hide(root: Tree, hidden: list[str], kept: list[str]) -> None:
    """Cover directories with empty ones that cannot be written to, unless they lie where files begin empty anyway."""
    for path in hidden:
        shown = not views.is_empty(path) or path.startswith(tuple(f"{one}/" for one in kept))
        if shown:
            with suppress(FileNotFoundError, InTheWay), root.place(path) as point:  # or the instance's own is there
                mount("tmpfs", point, "tmpfs", NO_SUID | NO_DEV | READ_ONLY, "mode=0555")


def settle(layers: Tree, hidden: Closed, owner: int) -> None:
    """At the instance's first start, with its root in place: remove what it is not to see, and give it passwords."""
    first = layers.found(VIEWED) is None
    with as_user(owner, 0, powerful=True), Tree.open("/") as root:
        views.withhold(root, hidden)
        if first:
            views.lock(root)
    if first:
        layers.write(VIEWED, b"", lasting=False)
    if hidden.everywhere:
        layers.write(SCANNED, b"", lasting=False)


def write_files(root: Tree, specification: dict[str, Any]) -> None:
    """The instance's identity, and its boot script. A link to the machine's own file is replaced, not followed."""
    name, address = specification["hostname"], specification["address"]
    files = {
        "etc/hostname": (f"{name}\n", 0o644),
        "etc/hosts": (f"127.0.0.1 localhost\n{address} {name}\n", 0o644),
        "etc/resolv.conf": (f"nameserver {specification['resolver']}\noptions timeout:2\n", 0o644),
        SCRIPT: (specification["user_data"], 0o700),
    }
    for path, (text, mode) in files.items():
        with root.below(os.path.dirname(path), make=0o755):  # noqa: PTH120 - a path in the tree
            pass
        root.write(path, text.encode(), mode, lasting=False)
