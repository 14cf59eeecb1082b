"""What is closed on the machine is closed inside an instance, for its root too: files by their mode, system calls."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tieline.fabric.kernel.instance import calls, users
from world.kernel.conftest import CLIENT, World, consumer
from world.kernel.test_instance import finished, machine, tree, until

pytestmark = pytest.mark.world
CLOSED = {"file": 0o600, "group": 0o640, "execute": 0o711, "none": 0o000, "nobody": 0o600}
PLACES = ("/", "/opt", "/usr", "/usr/local/share", "/usr/lib")


@pytest.fixture
def machines(prefix: str) -> Iterator[list[Path]]:
    """Closed files of the machine where its software lies, each in a directory of the test's own but for those in /."""
    made = []
    try:
        for place in PLACES:
            directory = Path(place) if place == "/" else Path(place, prefix)
            directory.mkdir(exist_ok=True)
            for name, mode in CLOSED.items():
                made.append(directory / f"{prefix}-{name}")
                made[-1].write_text("secret")
                made[-1].chmod(mode)
            os.chown(made[-1], 65534, 65534)  # nobody's own, which nobody else may read
            if place != "/":
                inner = directory / "closed"
                inner.mkdir(0o700)
                (inner / "file").write_text("secret")
                (directory / "open").write_text("public")
                made.append(inner / "file")
        yield made
    finally:
        for place in PLACES:
            for path in (Path(place, prefix), *Path(place).glob(f"{prefix}-*")):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def reading(path: Path) -> str:
    """Every way in which root would come by a file's content."""
    return (
        f"cat {path}; cp {path} /tmp/copy && cat /tmp/copy; ln {path} /tmp/hard && cat /tmp/hard; chmod 644 {path} && "
        f"cat {path}; chown nobody {path} && cat {path}; mv {path} /tmp/moved && cat /tmp/moved; "
        f"su nobody -s /bin/sh -c 'cat {path}'; "
    )


@pytest.mark.parametrize("ids", ["its own", "the machine's"])
async def test_closed_files_among_software_are_closed_inside(
    world: World, machines: list[Path], ids: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ids == "the machine's":  # as where a filesystem cannot show files with other ids
        monkeypatch.setattr(users, "shown", lambda _: ["/proc"])
    opened = " ".join(str(Path(place, world.prefix, "open")) for place in PLACES[1:])
    late = Path("/opt", world.prefix, "open")
    script = (
        f"({''.join(map(reading, machines))}) 2> /dev/null; cat {opened}; echo; echo looked\n"
        f"while [ ! -e /tmp/go ]; do sleep 0.02; done; cat {late} /opt/{world.prefix}/late /{world.prefix}-late"
    )
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(script), consumer())
    await until(lambda: "looked" in world.kernel.console_output(CLIENT))
    said = world.kernel.console_output(CLIENT)
    assert "secret" not in said and said.count("public") == len(PLACES) - 1
    # and not only at its start: what is closed, or made, while it runs
    late.write_text("secret")
    late.chmod(0o600)
    for file in (Path("/opt", world.prefix, "late"), Path(f"/{world.prefix}-late")):
        file.touch(0o600)
        file.write_text("secret")
    (init,) = [one for one in tree(world) if Path(f"/proc/{one.pid}/comm").read_text().startswith("python")]
    Path(f"/proc/{init.pid}/root/tmp/go").touch()
    said = await finished(world)
    assert "secret" not in said
    assert all(file.exists() for file in machines), "and what it tried changed nothing"


async def test_it_writes_among_software_in_its_own_layer(world: World, machines: list[Path]) -> None:
    mark = Path("/usr/local/share", world.prefix, "open")
    script = f"echo mine > {mark} && cat {mark}; touch /usr/bin/{world.prefix} && chown nobody /usr/bin/{world.prefix}"
    script += f"; ls -l /usr/bin/{world.prefix} | cut -d' ' -f3; rm /bin/ls && ! ls 2> /dev/null && echo removed"
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(script), consumer())
    assert (await finished(world)).splitlines()[:3] == ["mine", "nobody", "removed"]
    assert mark.read_text() == "public" and Path("/bin/ls").exists()
    assert not Path("/usr/bin", world.prefix).exists()


@pytest.mark.parametrize("ids", ["its own", "the machine's"])
async def test_it_learns_nothing_of_the_machines_memory(
    world: World, ids: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ids == "the machine's":
        monkeypatch.setattr(users, "shown", lambda _: ["/proc"])
    names = "kcore kpagecount kpageflags kpagecgroup vmallocinfo slabinfo pagetypeinfo kmsg"
    script = f"cd /proc; for name in {names}; do timeout 1 head -c 8 $name 2> /dev/null | wc -c; done; "
    script += "find /sys/firmware /sys/devices/virtual/powercap -mindepth 1 2> /dev/null | wc -l; cat /proc/meminfo"
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(script), consumer())
    said = (await finished(world)).splitlines()
    assert said[:9] == ["0"] * 9 and said[9].startswith("MemTotal"), said


PACKAGE = """
mkdir -p /tmp/p/DEBIAN /tmp/p/opt
cd /tmp/p
printf 'Package: of-its-own\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b>\\nDescription: x\\n' > DEBIAN/control
echo installed > /tmp/p/opt/of-its-own
dpkg-deb -b /tmp/p /tmp/p.deb && dpkg -i /tmp/p.deb && cat /opt/of-its-own && dpkg -s of-its-own && dpkg -r of-its-own
touch /var/lib/apt/lists/partial/x && ls -A /var/lib/apt/lists/partial && apt-get check && echo checked
"""


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the machine's packages are not Debian's")
async def test_its_package_manager_works_above_the_machines_packages(world: World) -> None:
    """Whose locks are closed to everybody but root, as is what apt loads."""
    before = sorted(Path("/var/lib/apt/lists/partial").iterdir())
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(PACKAGE), consumer())
    said = (await finished(world)).splitlines()
    assert "installed" in said and "Status: install ok installed" in said and "checked" in said, said
    assert "x" in said and "ended with status 0" in said[-1]
    assert sorted(Path("/var/lib/apt/lists/partial").iterdir()) == before and Path("/var/lib/dpkg/lock").exists()


# Each prints its name and the error's number, or that it came through.
CALLS = """
import ctypes, errno, os, platform, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
def told(name, value):
    print(name, errno.errorcode.get(ctypes.get_errno(), "?") if value < 0 else "THROUGH", flush=True)
for name, number, arguments in [
    ("unshare user", 272, (0x10000000,)), ("unshare mount", 272, (0x20000,)), ("setns", 308, (0, 0)),
    ("mount", 165, (b"none", b"/mnt", b"tmpfs", 0, 0)), ("umount", 166, (b"/tmp", 2)), ("pivot_root", 155, (b".", b".")),
    ("fsopen", 430, (b"tmpfs", 0)), ("open_tree", 428, (-100, b"/", 1)), ("move_mount", 429, (0, b"", 0, b"", 0)),
    ("mount_setattr", 442, (-100, b"/", 0, 0, 0)), ("open_tree_attr", 467, (-100, b"/", 1, 0, 0)),
    ("keyctl", 250, (0, -3, 0)), ("add_key", 248, (b"user", b"x", b"y", 1, -2)), ("request_key", 249, (b"user", b"x", 0, -2)),
    ("bpf", 321, (5, b"", 0)), ("perf", 298, (b"", 0, -1, -1, 0)), ("io_uring", 425, (1, b"\\0" * 120)),
    ("userfaultfd", 323, (1,)), ("by handle", 304, (-100, b"\\0" * 128, 0)), ("kexec", 246, (0, 0, 0, 0)),
    ("swapon", 167, (b"/x", 0)), ("reboot", 169, (0, 0, 0, 0)), ("module", 313, (0, b"", 0)), ("clock", 227, (0, b"\\0" * 16)),
    ("kcmp", 312, (1, 1, 0, 0, 0)), ("fanotify", 300, (0, 0)), ("quotactl", 179, (0, b"", 0, 0)), ("syslog", 103, (3, b"", 0)),
    ("clone user", 56, (0x10000000 | 17, 0, 0, 0, 0)), ("clone net", 56, (0x40000000 | 17, 0, 0, 0, 0)),
    ("clone3", 435, (b"\\0" * 88, 88)), ("x32 mount", 0x40000000 + 165, (0, 0, 0, 0, 0)), ("x32", 0x40000000 + 39, ()),
    ("newest", 500, ()), ("type", 16, (0, 0x5412, b"x")), ("type high", 16, (0, 0x500005412, b"x")),
]:
    ctypes.set_errno(0)
    told(name, libc.syscall(number, *arguments))
for family in (*range(3, 10), *range(11, 16), *range(18, 47), 0x100000028):
    ctypes.set_errno(0)
    told(f"family {family}", libc.syscall(41, ctypes.c_ulong(family), 1, 0))
for family in (1, 2, 10, 16):
    print("needed", family, "fine" if libc.syscall(41, family, 2, 0) >= 0 else "REFUSED")
"""  # noqa: E501


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
async def test_system_calls_that_servers_do_not_need_are_refused(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(CALLS, "/usr/bin/env python3"), consumer())
    said = [line for line in (await finished(world)).splitlines() if not line.startswith("tieline:")]
    assert not [line for line in said if "THROUGH" in line or "REFUSED" in line or "Error" in line]
    wrong = [line for line in said if not line.endswith(("EPERM", "fine"))]
    unknown = [f"{name} ENOSYS" for name in ("clone3", "x32 mount", "x32", "newest")]
    assert wrong == unknown and len(said) > 80


# A program for i386, run by int 0x80 from 64-bit code: getpid, then mount, as nothing but a 32-bit caller would.
OTHER_ABI = """
import ctypes, mmap
code = bytes.fromhex("53" "b814000000" "cd80" "5b" "c3")  # push rbx; eax = 20 (getpid); int 0x80; pop rbx; ret
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print("answer", call())
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the code is x86-64's")
async def test_the_other_abi_of_the_processor_is_no_way_round(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(OTHER_ABI, "/usr/bin/env python3"), consumer())
    assert "answer -38\n" in await finished(world)  # ENOSYS, for the most harmless call there is


async def test_what_servers_do_at_their_start_works(world: World) -> None:
    """Threads, processes, other users, sockets of each kind, locks, shared memory, terminals."""
    script = """
    set -e
    setpriv --reuid=nobody --regid=nogroup --clear-groups id -un
    su nobody -s /bin/sh -c 'id -un'
    nice -n 5 timeout 5 setsid flock /tmp/lock true && echo processes
    chroot / true && echo chroot
    python3 -c 'import threading, subprocess, multiprocessing.shared_memory as m, os, socket, select, pty
    t = threading.Thread(target=subprocess.run, args=(["true"],)); t.start(); t.join()
    s = m.SharedMemory(create=True, size=1 << 20); s.close(); s.unlink()
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW); socket.create_server(("", 80)); select.epoll(); pty.openpty()
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)  # as ping does
    print("python")'
    ip address show lo | grep -o 127.0.0.1/8
    """
    plain = "\n".join(line.strip() for line in script.splitlines())
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(plain), consumer())
    said = (await finished(world)).splitlines()
    expected = ["nobody", "nobody", "processes", "chroot", "python", "127.0.0.1/8"]
    assert said[: len(expected)] == expected, said


def test_the_filter_is_one_that_the_kernel_takes() -> None:
    program = calls.program()
    assert len(program) % 8 == 0 and len(program) // 8 < 4096  # BPF_MAXINSNS (linux/bpf_common.h)
    assert program is calls.program()  # made once
