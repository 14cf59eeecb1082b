"""Whoever works in a directory that another user may write to does it by `Tree`, and by nothing that follows a path."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tieline

SOURCE = Path(tieline.__file__).parent
# The modules that work in an instance's layers as the machine's root, and in a broker's directory as the agent's.
MODULES = (
    "fabric/kernel/instance/roots.py",
    "fabric/kernel/instance/views.py",
    "fabric/kernel/instance/boot.py",
    "agent/brokers/mosquitto.py",
)
BY_PATH = {"write_text", "write_bytes", "touch", "chmod", "unlink", "rmdir", "rename", "replace", "symlink_to"}
BY_PATH |= {"hardlink_to", "lchmod", "mkdir", "makedirs", "chown", "copy", "copyfile", "copytree", "move"}
# What is left, and why no other user chooses where it leads.
KNOWN = {
    ("fabric/kernel/instance/roots.py", "Path(ROOT).mkdir"),  # on the stage, which is new and in memory
    ("fabric/kernel/instance/roots.py", "Path(OWN).mkdir"),
    ("fabric/kernel/instance/roots.py", "Path(SEEN).mkdir"),
    ("fabric/kernel/instance/roots.py", "directory.mkdir"),  # beside an instance's layer, not in it
    ("fabric/kernel/instance/roots.py", "layers.mkdir"),
    ("fabric/kernel/instance/boot.py", "Path(group).write_text"),  # the kernel's own files
    ("fabric/kernel/instance/boot.py", "Path('/proc/self/oom_score_adj').write_text"),
    ("fabric/kernel/instance/boot.py", "Path('/proc/sys/kernel/pid_max').write_text"),
    ("agent/brokers/mosquitto.py", "self._directory.mkdir"),  # in the agent's own directory
}


def calls(module: str) -> set[tuple[str, str]]:
    """The calls of a module that change what a path leads to."""
    tree = ast.parse((SOURCE / module).read_text())
    made = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {(module, ast.unparse(one)) for one in made if isinstance(one, ast.Attribute) and one.attr in BY_PATH}


@pytest.mark.parametrize("module", MODULES)
def test_it_works_by_handles(module: str) -> None:
    assert calls(module) == {one for one in KNOWN if one[0] == module}
