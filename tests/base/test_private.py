"""A directory that was there before, with any mode, is its owner's alone afterwards, or it is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tieline.base import private
from tieline.base.private import NotPrivate


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o705, 0o500, 0o700, 0o711])
def test_it_is_for_its_owner_alone(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "above" / "state"
    place.mkdir(parents=True)
    place.chmod(mode)
    private.directory(place)
    assert place.stat().st_mode & 0o7777 == 0o700


def test_one_that_is_missing_is_made(tmp_path: Path) -> None:
    private.directory(tmp_path / "a/b")
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes directories of others")
def test_one_of_another_user_is_refused_and_stays(tmp_path: Path) -> None:
    os.chown(tmp_path, 4321, 4321)
    before = tmp_path.stat().st_mode
    with pytest.raises(NotPrivate, match=r"belongs to 4321.*chown"):
        private.directory(tmp_path)
    assert tmp_path.stat().st_mode == before


@pytest.mark.parametrize("planted", ["link", "hard link", "another's"])
def test_where_others_could_write_what_they_may_have_left_is_refused(tmp_path: Path, planted: str) -> None:
    place = tmp_path / "state"
    place.mkdir()
    place.chmod(0o777)
    (tmp_path / "outside").touch()
    match planted:
        case "link":
            (place / "lock").symlink_to(tmp_path / "outside")
        case "hard link":
            (place / "lock").hardlink_to(tmp_path / "outside")
        case _:
            (place / "lock").touch()
            if os.geteuid() != 0:
                pytest.skip("only root makes files of others")
            os.chown(place / "lock", 4321, 4321)
    with pytest.raises(NotPrivate, match="lock"):
        private.directory(place)
    assert place.stat().st_mode & 0o777 == 0o777
    (place / "lock").unlink()
    private.directory(place)
    assert place.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("above", ["another's", "everybody's", "by a link"])
def test_a_place_where_others_could_put_another_directory_is_refused(tmp_path: Path, above: str) -> None:
    """Whoever owns a directory above, be it any, can rename what is in it, and put what he likes in its place."""
    theirs = tmp_path / "theirs"
    place = theirs / "ours" / "state"
    place.mkdir(parents=True)
    place.chmod(0o755)
    if above == "everybody's":
        theirs.chmod(0o777)
    elif os.geteuid() != 0:
        pytest.skip("only root makes directories of others")
    else:
        os.chown(theirs, 4321, 4321)
    if above == "by a link":
        (tmp_path / "link").symlink_to(theirs / "ours")
        place = tmp_path / "link" / "state"
    with pytest.raises(NotPrivate, match=r"theirs, and .* name a directory elsewhere"):
        private.directory(place)
    assert place.stat().st_mode & 0o777 == 0o755
    with pytest.raises(NotPrivate):
        private.directory(theirs / "not" / "made")
    assert not (theirs / "not").exists()


def test_where_everybody_may_write_and_remove_only_what_is_theirs_is_a_place(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    private.directory(tmp_path / "tmp" / "state")


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_directory_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "state"
    place.symlink_to(tmp_path) if kind == "link" else place.touch()
    with pytest.raises(OSError):
        private.directory(place)


def test_a_process_leaves_no_file_for_others_and_no_memory() -> None:
    program = "import os, resource, sys; from tieline.base import private; private.harden(); "
    program += "print(oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_CORE))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0o77 (0, 0)\n"
