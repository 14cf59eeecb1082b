"""What hostile user data reaches of the machine: its installed software, and settings that everybody there may read."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tieline.fabric.core.topology import Passage
from tieline.fabric.kernel.driver import Kernel
from tieline.fabric.kernel.net import passages
from tieline.fabric.kernel.relay import announcers
from tieline.fabric.kernel.relay.announcements import Announcement
from tieline.fabric.kernel.system import processes
from world.kernel.conftest import CLIENT, ENDPOINT, World, consumer
from world.kernel.test_instance import finished, footprint, machine, tree, until

pytestmark = pytest.mark.world
# Opens the console by a handle of it (name_to_handle_at(2)); the first bytes of a handle are its room and its kind.
BY_HANDLE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(132))
mount = ctypes.c_int()
assert libc.name_to_handle_at(1, b"", handle, ctypes.byref(mount), 0x1000) == 0, os.strerror(ctypes.get_errno())
opened = libc.open_by_handle_at(1, handle, os.O_RDONLY)
print("OPENED" if opened >= 0 else f"refused: {os.strerror(ctypes.get_errno())}")
"""


async def test_it_cannot_reach_out_of_its_root(world: World) -> None:
    """Root inside, and yet no disk, no kernel setting, no secret, no mount, no other process and no network setting."""
    world.state.mkdir(parents=True)
    (world.state / "key").write_text("secret")
    attempts = {
        "state": f"cat {world.state}/key",
        "state directory": f"ls {world.state}/instances",
        "disk": "ls /dev/vda /dev/sda /dev/nvme0n1",
        "disk node": "mknod /tmp/disk b 254 0",
        "core pattern": "echo x > /proc/sys/kernel/core_pattern",
        "sysrq": "echo b > /proc/sysrq-trigger",
        "memory": "dd if=/proc/kcore of=/dev/null bs=1 count=1 | grep -q ELF",
        "mount": "mount -t tmpfs none /mnt",
        "remount": "mount -o remount,rw /proc/sys",
        "address": "ip address add 10.9.9.9/32 dev eth0",
        "netns": "ip netns add escaped",
        "module": "insmod /dev/null",
        "hostname": "hostname changed",
        "chroot": 'python3 -c \'import os; os.mkdir("/tmp/j"); os.chroot("/tmp/j"); [os.chdir("..") for _ in range(9)];'
        f' os.chroot("."); os.stat("{world.state}/key")\'',
        "processes": f"kill -0 {os.getpid()}",
    }
    script = "\n".join(f"({attempt}) >/dev/null 2>&1 && echo 'REACHED {what}'" for what, attempt in attempts.items())
    count = "set -- /proc/[0-9]*; echo processes: $#"
    works = "echo ok > /dev/shm/x && cat /dev/shm/x && su nobody -s /bin/sh -c 'id -un'"
    works += " && python3 -c 'import pty; pty.openpty()'"
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(f"{script}\n{count}\n{works}\nls -A /run /tmp"), consumer())
    said = await finished(world)
    assert "REACHED" not in said, said
    assert "processes: 2" in said
    assert "ok\nnobody" in said and "Error" not in said


async def test_no_handle_leads_out_of_its_root(world: World) -> None:
    """Its console is a file of the machine's filesystem, and a handle of that names any other file there."""
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(BY_HANDLE, "/usr/bin/env python3"), consumer())
    said = await finished(world)
    assert said.startswith("refused: Operation not permitted\n"), said


async def test_it_cannot_pass_for_a_process_of_the_fabrics_own(world: World) -> None:
    """Whoever is taken for a passage's or an announcer's process keeps the real one from being started."""
    passage = Passage(id="p-in", instance=CLIENT, direction="inward", listen=("127.0.0.1", 1), connect=("127.0.0.1", 1))
    announcement = Announcement(address=ENDPOINT, ports=(5432,), source="169.254.8.0", onwards="169.254.8.1")
    forwarder = passages.Owner(prefix=world.prefix, inode=1, passage=passage)
    announcer = announcers.Owner(prefix=world.prefix, vpc="vpc-a", inode=1, announcement=announcement)
    lies = [
        ("tail", "-f", "-q", "--", "forwarder.py", msgspec.json.encode(forwarder).decode(), "1", "2", "3", "/tmp/lie"),
        ("tail", "-f", "-q", "--", announcers.MODULE, msgspec.json.encode(announcer).decode(), "/tmp/lie"),
    ]
    started = "\n".join(f"{shlex.join(lie)} 2> /dev/null &" for lie in lies)
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(f"touch /tmp/lie\n{started}\nsleep 1000"), consumer())
    await until(lambda: {lie for lie in lies if list(lie) in commands(world)} == set(lies))
    assert (await world.kernel.observe()).passages == {}
    assert announcers._running(footprint(world)) == []


async def test_it_cannot_keep_itself_from_being_removed(world: World) -> None:
    """By directories that are nested deeper than a recursion goes, and closed to all but root."""
    nest = "import os\nfor _ in range(3000): os.mkdir('d'); os.chmod('d', 0); os.chdir('d')\nprint('nested')"
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(f"cd /srv\npython3 -c {shlex.quote(nest)}"), consumer())
    assert "nested" in await finished(world)
    await world.kernel.stop_instance(CLIENT)
    assert list((world.state / "instances").iterdir()) == []


@pytest.fixture
def private(prefix: str) -> Iterator[list[Path]]:
    """Files of the machine that are nobody's business: in homes, data, logs, and among its settings."""
    files = [
        Path(place, prefix, "file") for place in ("/root", "/home", "/srv", "/mnt", "/var/lib", "/var/log", "/etc")
    ]
    try:
        for file in files:
            file.parent.mkdir()
            file.write_text("secret")
            file.chmod(0o600 if file.parts[1] == "etc" else 0o644)
        yield files
    finally:
        for file in files:
            shutil.rmtree(file.parent, ignore_errors=True)


async def test_it_sees_software_and_no_private_file(world: World, private: list[Path]) -> None:
    public = private[-1].with_name("public")
    public.write_text("setting")
    seen = f"cat {' '.join(map(str, private))} 2> /dev/null; cat {public}; cat /etc/shadow; test -d {private[4].parent}"
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(f"{seen} && ls /usr/bin/env /etc/passwd"), consumer())
    said = await finished(world)
    assert "secret" not in said and "$" not in said
    assert "setting" in said and "root:*:" in said and "/usr/bin/env\n" in said


async def test_what_it_writes_where_files_begin_empty_is_its_own_and_stays(world: World, private: list[Path]) -> None:
    places = " ".join(str(file.with_name("own")) for file in private)
    script = f"for place in {places}; do mkdir -p ${{place%/*}}; echo boot >> $place; done; cat {places} | wc -l"
    await world.kernel.converge_vpc(consumer())
    for boots in (1, 2):
        await world.kernel.converge_instance(machine(script), consumer())
        assert f"{boots * len(private)}\ntieline:" in await finished(world, boots)
        await processes.end([process for process in tree(world) if processes.is_init(process.pid)])
    assert not any(file.with_name("own").exists() for file in private)


async def test_the_fabrics_state_is_hidden_from_it(world: World) -> None:
    """Also where it is not below /tmp or /run, which every instance has anew."""
    with tempfile.TemporaryDirectory(prefix=world.prefix, dir="/var/tmp") as directory:
        (Path(directory) / "key").write_text("secret")
        kernel = Kernel(world.prefix, Path(directory))
        await kernel.converge_vpc(consumer())
        script = f"mkdir -p {directory}/own; ls -A {directory}; cat {directory}/*; echo mine > {directory}/own/x"
        await kernel.converge_instance(machine(script), consumer())
        await until(lambda: "the boot script ended" in kernel.console_output(CLIENT))
        said = kernel.console_output(CLIENT)
        await kernel.stop_instance(CLIENT)
        assert sorted(path.name for path in Path(directory).iterdir()) == ["instances", "key"]
    assert said.startswith("own\n") and "secret" not in said
    assert "ended with status 0" in said  # the place is its own: a deployment's agent may keep its files there


def commands(world: World) -> list[list[str]]:
    return [processes.command(process.pid) for process in tree(world)]
