"""A tree is worked in by root while somebody else owns it: nothing outside is read, written, given away or removed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tieline.base import trees
from tieline.base.trees import InTheWay, Tree

SECRET = b"the machine's own"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the tree, with a file in it."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "file").write_bytes(SECRET)
    (directory / "file").chmod(0o640)
    return directory


@pytest.fixture(params=["openat2", "walk"])
def tree(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    """A tree, resolved by the kernel, and step by step as where the kernel lacks the call."""
    if request.param == "walk":
        monkeypatch.setattr(trees, "OPENAT2", 1_000_000)
    (tmp_path / "tree").mkdir()
    with Tree.open(tmp_path / "tree") as made:
        yield made


def snapshot(directory: Path) -> dict[str, tuple[bytes, os.stat_result]]:
    return {one.name: (one.read_bytes(), one.stat()) for one in directory.iterdir()}


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("relative", [False, True])
def test_a_link_at_any_level_leads_nowhere(
    tree: Tree, tmp_path: Path, outside: Path, level: int, relative: bool
) -> None:
    parts = ["a", "b", "c"]
    at = tmp_path.joinpath("tree", *parts[: level - 1])
    at.mkdir(parents=True, exist_ok=True)
    (at / parts[level - 1]).symlink_to(os.path.relpath(outside, at) if relative else outside)
    before = snapshot(outside)
    for attempt in (
        lambda: tree.below("a/b/c"),
        lambda: tree.below("a/b/c", make=0o755),
        lambda: tree.write("a/b/c/file", b"x"),
        lambda: tree.remove("a/b/c/file"),
        lambda: tree.read("a/b/c/file"),
        lambda: tree.link("a/b/c/new", "x"),
        lambda: tree.found("a/b/c/file"),
    ):
        with pytest.raises(InTheWay):
            attempt()
    assert snapshot(outside) == before


@pytest.mark.parametrize("path", ["..", "../outside/file", "a/../../outside/file"])
def test_no_path_leads_out(tree: Tree, outside: Path, path: str) -> None:
    for attempt in (lambda: tree.write(path, b"x"), lambda: tree.read(path), lambda: tree.below(path, make=0o700)):
        with pytest.raises(InTheWay):
            attempt()
    assert (outside / "file").read_bytes() == SECRET


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "socketless file"])
def test_what_stands_in_a_files_place_is_replaced_not_written_to(
    tree: Tree, tmp_path: Path, outside: Path, kind: str
) -> None:
    place = tmp_path / "tree/file"
    match kind:
        case "link":
            place.symlink_to(outside / "file")
        case "hard link":
            place.hardlink_to(outside / "file")
        case "pipe":
            os.mkfifo(place)
        case _:
            place.touch(0o666)
    tree.write("file", b"new", 0o644)
    assert place.read_bytes() == b"new" and not place.is_symlink() and place.stat().st_mode & 0o777 == 0o644
    assert (outside / "file").read_bytes() == SECRET and (outside / "file").stat().st_mode & 0o777 == 0o640
    assert list((tmp_path / "tree").iterdir()) == [place]


def test_a_directory_in_a_files_place_is_an_error_and_leaves_no_draft(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "tree/file/inner").mkdir(parents=True)
    with pytest.raises(InTheWay, match="directory"):
        tree.write("file", b"new")
    with pytest.raises(InTheWay, match="directory"):
        tree.remove("file")
    assert [one.name for one in (tmp_path / "tree").iterdir()] == ["file"]


def test_only_regular_files_are_read(tree: Tree, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "tree/link").symlink_to(outside / "file")
    os.mkfifo(tmp_path / "tree/pipe")
    (tmp_path / "tree/directory").mkdir()
    for name in ("link", "pipe", "directory"):
        with pytest.raises(InTheWay):
            tree.read(name)
    with pytest.raises(FileNotFoundError):
        tree.read("nothing")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_only_what_is_the_trees_alone_is_given_away(tree: Tree, tmp_path: Path, outside: Path) -> None:
    inside = tmp_path / "tree"
    (inside / "own").touch()
    (inside / "link").symlink_to(outside / "file")
    (inside / "hard").hardlink_to(outside / "file")
    (inside / "directory").mkdir()
    os.mkfifo(inside / "pipe")
    tree.give((1234, 1234))
    assert (outside / "file").stat().st_uid == 0
    owned = {one.name for one in inside.iterdir() if one.lstat().st_uid == 1234}
    assert owned == {"own"} and inside.stat().st_uid == 1234


ATTACKER = """
import contextlib, os, sys
place, spare, outside = sys.argv[1:]
print("swapping", flush=True)
while True:
    for step in (
        lambda: os.rename(place, spare),
        lambda: os.symlink(outside, place),
        lambda: os.unlink(place),
        lambda: os.rename(spare, place),
    ):
        with contextlib.suppress(OSError):
            step()
"""


def test_a_link_that_comes_and_goes_wins_no_race(tree: Tree, tmp_path: Path, outside: Path) -> None:
    place = tmp_path / "tree/place"
    place.mkdir()
    before = snapshot(outside)
    command = [sys.executable, "-c", ATTACKER, str(place), str(tmp_path / "tree/spare"), str(outside)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as attacker:
        assert attacker.stdout is not None and attacker.stdout.readline() == "swapping\n"
        tried = [_succeeds(lambda: tree.write("place/file", b"x", lasting=False)) for _ in range(2000)]
        tried += [_succeeds(lambda: os.close(tree.below("place/new", make=0o755).handle)) for _ in range(2000)]
        attacker.kill()
    assert True in tried and False in tried, "it was met in both states"
    assert snapshot(outside) == before


def _succeeds(work: Callable[[], object]) -> bool:
    try:
        work()
    except OSError:
        return False
    return True


def test_what_is_made_has_the_mode_that_was_asked_for(tree: Tree, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with tree.below("a/b", make=0o755):
            pass
        tree.write("a/b/file", b"", 0o644)
    finally:
        os.umask(before)
    inside = tmp_path / "tree/a/b"
    assert inside.stat().st_mode & 0o777 == 0o755 and (inside / "file").stat().st_mode & 0o777 == 0o644


def test_the_tree_itself_may_be_no_link(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "link").symlink_to(outside)
    with pytest.raises(InTheWay):
        Tree.open(tmp_path / "link")
