"""An instance's root: its own layer over a view of the machine's software, with all that is secret or shared hidden."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from tieline.fabric.kernel import views
from tieline.fabric.kernel.syscalls import (
    BIND,
    DETACH,
    NO_DEV,
    NO_EXEC,
    NO_SUID,
    PRIVATE,
    READ_ONLY,
    RECURSIVE,
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
PROC_HIDDEN = ("kcore", "keys", "timer_list", "sched_debug")
VAR = ("lib", "log", "tmp", "cache", "spool", "opt")
# Kernel views, and memory: what is in them is the machine's and not installed software.
PSEUDO = {"proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "ramfs", "cgroup", "cgroup2", "mqueue", "nsfs", "securityfs"}
PSEUDO |= {"debugfs", "tracefs", "bpf", "pstore", "hugetlbfs", "efivarfs", "configfs", "binfmt_misc", "autofs"}
VIEWED = "viewed"  # beside an instance's layers once its /etc is its own


def furnish(specification: dict[str, Any]) -> None:
    """A root of the instance's own over a view of the machine's software, with all that is secret or shared hidden."""
    place = Path(specification["place"])
    root = place / "root"
    check(libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None), "detach the mounts")
    submounts = real_mounts()
    overlay(place, root)
    for point in submounts:
        target = root / point.lstrip("/")
        if target.is_dir() == Path(point).is_dir():
            mount(point, target, "", BIND | READ_ONLY)
    kernel_views(root)
    for name in PRIVATE_DIRECTORIES:
        directory = root / name
        directory.mkdir(parents=True, exist_ok=True)
        mount("tmpfs", directory, "tmpfs", NO_SUID | NO_DEV, "mode=0755" if name == "run" else "mode=1777")
    keep(root, specification["kept"])
    hide(root, specification["hidden"], specification["kept"])
    write_files(root, specification)
    become(root)


def become(root: Path) -> None:
    """Make this the mount namespace's own root, so that no chroot inside leads out (pivot_root(2), "." twice)."""
    os.chdir(root)
    check(libc.pivot_root(b".", b"."), "change the root")
    check(libc.umount2(b".", DETACH), "leave the machine's root")
    os.chdir("/")


def overlay(place: Path, root: Path) -> None:
    """A writable layer over the machine's files; memory holds it where the state directory's filesystem cannot."""
    layers = place / "layers"
    for directory in (root, layers):
        directory.mkdir(parents=True, exist_ok=True)
    if Path("/proc/self/uid_map").read_text().split()[:2] != ["0", "0"]:
        return piecewise(root, layers)
    try:
        return layered(root, layers)
    except OSError:
        mount("tmpfs", layers, "tmpfs", 0, "mode=0755")
        return layered(root, layers)


def layered(root: Path, layers: Path) -> None:
    views.conceal(layers / "upper")
    layer(Path("/"), root, layers)
    for path in filter(os.path.isdir, views.PACKAGES):
        layer(Path(path), root / path.lstrip("/"), layers / Path(path).name)
    if not (layers / VIEWED).exists():
        views.withhold(root / "etc")
        (layers / VIEWED).touch()


def layer(lower: Path, target: Path, layers: Path) -> None:
    upper, work = layers / "upper", layers / "work"
    for directory in (upper, work):
        directory.mkdir(parents=True, exist_ok=True)
    mount("overlay", target, "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work}")


def piecewise(root: Path, own: Path) -> None:
    """In a user namespace the machine's files stay its root's: software is shown, what is written is made anew.

    /etc is a copy of what can be read of it; all else begins empty, in the state directory.
    """
    mount("tmpfs", root, "tmpfs", 0, "mode=0755")
    for entry in sorted(Path("/").iterdir()):
        target = root / entry.name
        if entry.is_symlink():
            target.symlink_to(entry.readlink())
        elif entry.is_dir():
            target.mkdir()
            if views.is_software(str(entry)):
                mount(str(entry), target, "", BIND | RECURSIVE)
                protect(target)
            elif str(entry) not in views.ANEW:
                (own / entry.name).mkdir(exist_ok=True)
                mount(str(own / entry.name), target, "", BIND)
    if not (own / VIEWED).exists():
        copy(Path("/etc"), root / "etc")
        views.lock(root / "etc")
        (own / VIEWED).touch()
    for name in VAR:
        (root / "var" / name).mkdir(exist_ok=True)
    (root / "var/tmp").chmod(0o1777)


def copy(source: Path, target: Path) -> None:
    """What can be read of a directory."""
    for entry in os.scandir(source):
        place = target / entry.name
        with suppress(OSError):
            if entry.is_symlink():
                place.symlink_to(os.readlink(entry))  # noqa: PTH115 - of what scandir found
            elif entry.is_dir():
                place.mkdir(exist_ok=True)
                copy(Path(entry), place)
            elif entry.is_file():
                place.write_bytes(Path(entry).read_bytes())
                place.chmod(entry.stat().st_mode & 0o777)


def real_mounts() -> list[str]:
    """Mount points of filesystems with software in them."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        point, kind = fields.split()[4].encode().decode("unicode_escape"), rest.split()[0]
        if kind not in PSEUDO and views.is_software(point):
            found.append(point)
    return found


def kernel_views(root: Path) -> None:
    """New /proc, /sys and /dev: the machine's disks and settings are not among them."""
    mount("proc", root / "proc", "proc", NO_SUID | NO_DEV | NO_EXEC)
    for name in PROC_READ_ONLY:
        if (point := root / "proc" / name).exists():
            mount(str(point), point, "", BIND | READ_ONLY)
    for name in PROC_HIDDEN:
        if (point := root / "proc" / name).exists():
            mount("/dev/null", point, "", BIND | READ_ONLY)
    mount("sysfs", root / "sys", "sysfs", NO_SUID | NO_DEV | NO_EXEC | READ_ONLY)
    devices = root / "dev"
    mount("tmpfs", devices, "tmpfs", NO_SUID | NO_EXEC, "mode=0755")
    for name in DEVICES:
        (devices / name).touch()
        mount(f"/dev/{name}", devices / name, "", BIND)
    (devices / "pts").mkdir()
    mount("devpts", devices / "pts", "devpts", NO_SUID | NO_EXEC, "newinstance,ptmxmode=0666,mode=0620")
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0")):
        (devices / name).symlink_to(target)
    for name, number in (("stdout", 1), ("stderr", 2)):
        (devices / name).symlink_to(f"/proc/self/fd/{number}")


def keep(root: Path, kept: list[str]) -> None:
    """Show directories that lie where an instance's files begin empty, such as an installation in somebody's home."""
    for path in kept:
        if views.is_empty(path):
            point = root / path.lstrip("/")
            point.mkdir(parents=True, exist_ok=True)
            mount(path, point, "", BIND | READ_ONLY)


def hide(root: Path, hidden: list[str], kept: list[str]) -> None:
    """Cover directories with empty ones that cannot be written to, unless they lie where files begin empty anyway."""
    for path in hidden:
        point = root / path.lstrip("/")
        shown = not views.is_empty(path) or path.startswith(tuple(f"{one}/" for one in kept))
        if shown and point.is_dir():
            mount("tmpfs", point, "tmpfs", NO_SUID | NO_DEV | READ_ONLY, "mode=0555")


def write_files(root: Path, specification: dict[str, Any]) -> None:
    """The instance's identity, and its boot script. A link to the machine's own file is replaced, not followed."""
    name, address = specification["hostname"], specification["address"]
    files = {
        "etc/hostname": (f"{name}\n", 0o644),
        "etc/hosts": (f"127.0.0.1 localhost\n{address} {name}\n", 0o644),
        "etc/resolv.conf": (f"nameserver {specification['resolver']}\noptions timeout:2\n", 0o644),
        SCRIPT: (specification["user_data"], 0o700),
    }
    for path, (text, mode) in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
