"""Files in a directory that another user may write to: no path is followed out of it, and no link inside it.

Root that opens `directory/name` by its path lets the directory's owner choose, by a link, which file of the machine
that is. Here every step is taken from an open directory; a link on the way is an error, and a file is written beside
its place under a name that nobody can guess, then put there in one step.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePath
from types import TracebackType
from typing import Self

OPENAT2 = 437  # linux/openat2.h, since Linux 5.6; the same number on every architecture
NO_MAGIC_LINKS, NO_LINKS, BENEATH = 0x02, 0x04, 0x08
HOW = struct.Struct("=QQQ")  # struct open_how: flags, mode, resolve
DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DRAFT_BYTES = 12
_libc = ctypes.CDLL(None, use_errno=True)


class InTheWay(OSError):
    """Something stands where only a directory, or only a file, may be: a link above all. Remove it, then try again."""


class Tree:
    """A directory, held open. Paths are relative to it; none leads out of it, whatever its owner does meanwhile.

    Each method raises InTheWay for a link on the way, and OSError.
    """

    def __init__(self, handle: int, shown: str) -> None:
        """`handle`: of the directory, closed with the tree. `shown`: its path in messages."""
        self.handle, self._shown = handle, shown

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Tree:
        """The tree at a path that nobody but us can change, but for its last part, which may be no link."""
        return cls(_checked(path, lambda: os.open(path, os.O_RDONLY | DIRECTORY)), os.fspath(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.handle)

    def below(self, path: str | PurePath, make: int | None = None) -> Tree:
        """The tree of a directory inside. `make`: the mode of those on the way that are missing; None makes none."""
        parts = _parts(path)
        shown = f"{self._shown}/{'/'.join(parts)}"
        if make is not None:
            self._make(parts, make)
        return Tree(_checked(shown, lambda: _open(self.handle, parts, os.O_RDONLY | DIRECTORY)), shown)

    def write(
        self,
        path: str | PurePath,
        data: bytes,
        mode: int = 0o600,
        owner: tuple[int, int] | None = None,
        *,
        lasting: bool = True,
    ) -> None:
        """Write a file whole or not at all; whatever stands in its place is replaced, a directory excepted.

        `lasting`: whether it has to be on the disk when this returns.
        """
        with self._beside(path) as (directory, name):
            draft = f".{name[:100]}.{os.urandom(DRAFT_BYTES).hex()}"
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory.handle)
            try:
                _fill(file, data, mode, owner)
                if lasting:
                    os.fsync(file)
                os.rename(draft, name, src_dir_fd=directory.handle, dst_dir_fd=directory.handle)
            except BaseException as error:
                os.unlink(draft, dir_fd=directory.handle)
                if isinstance(error, OSError) and error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                    raise InTheWay(
                        error.errno, "a directory is in the place of a file", f"{self._shown}/{path}"
                    ) from error
                raise
            finally:
                os.close(file)

    def read(self, path: str | PurePath) -> bytes:
        """A regular file's content; raises FileNotFoundError, and InTheWay for anything else that has this name."""
        shown = f"{self._shown}/{path}"
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe is then opened without a writer
        handle = _checked(shown, lambda: _open(self.handle, _parts(path), flags))
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise InTheWay(errno.EINVAL, "this is no file", shown)
        with os.fdopen(handle, "rb") as file:
            return file.read()

    def remove(self, path: str | PurePath) -> bool:
        """Remove a file or a link, not what that leads to; False where there is none."""
        try:
            with self._beside(path) as (directory, name):
                os.unlink(name, dir_fd=directory.handle)
        except FileNotFoundError:
            return False
        except IsADirectoryError as error:
            raise InTheWay(errno.EISDIR, "a directory is in the place of a file", f"{self._shown}/{path}") from error
        return True

    def found(self, path: str | PurePath) -> os.stat_result | None:
        """What has this name itself; None where there is nothing."""
        try:
            with self._beside(path) as (directory, name):
                return os.stat(name, dir_fd=directory.handle, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def link(self, path: str | PurePath, target: str) -> None:
        """Make a symbolic link where there is nothing yet."""
        with self._beside(path) as (directory, name):
            os.symlink(target, name, dir_fd=directory.handle)

    def give(self, owner: tuple[int, int]) -> None:
        """Give the directory and the files directly in it to a user: never what has another name elsewhere as well."""
        os.fchown(self.handle, *owner)
        for name in os.listdir(self.handle):  # noqa: PTH208 - by its handle
            try:
                handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.handle)
            except FileNotFoundError:  # it went meanwhile, as a draft does
                continue
            try:
                one = os.fstat(handle)
                if stat.S_ISREG(one.st_mode) and one.st_nlink == 1 and (one.st_uid, one.st_gid) != owner:
                    os.chown(f"/proc/self/fd/{handle}", *owner)
            finally:
                os.close(handle)

    def set_attribute(self, name: str, value: bytes) -> None:
        """Set an extended attribute of the directory itself."""
        os.setxattr(self.handle, name, value)

    def set_mode(self, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Set the mode, and the owner, of the directory itself."""
        if owner is not None:
            os.fchown(self.handle, *owner)
        os.fchmod(self.handle, mode)

    def names(self) -> list[str]:
        """What is in the directory, sorted."""
        return sorted(os.listdir(self.handle))  # noqa: PTH208 - by its handle

    @contextmanager
    def place(self, path: str | PurePath) -> Iterator[str]:
        """A path that is the very thing inside, no link, whatever happens to its name: for calls such as mount(2)."""
        shown = f"{self._shown}/{path}"
        handle = _checked(shown, lambda: _open(self.handle, _parts(path), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
        try:
            if stat.S_ISLNK(os.fstat(handle).st_mode):
                raise InTheWay(errno.ELOOP, "a link is in the place of something else", shown)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)

    @contextmanager
    def _beside(self, path: str | PurePath) -> Iterator[tuple[Tree, str]]:
        """The directory that something is in, and its name there."""
        *parents, name = _parts(path)
        with self.below("/".join(parents)) as directory:
            yield directory, name

    def _make(self, parts: list[str], mode: int) -> None:
        handle = os.dup(self.handle)
        try:
            for part in parts:
                made = _mkdir(handle, part, mode)
                below = _checked(f"{self._shown}/…/{part}", partial(_open, handle, [part], os.O_RDONLY | DIRECTORY))
                os.close(handle)
                handle = below
                if made:
                    os.fchmod(handle, mode)  # whatever the umask is
        finally:
            os.close(handle)


def write(
    path: PurePath, data: bytes, mode: int = 0o600, owner: tuple[int, int] | None = None, *, lasting: bool = True
) -> None:
    """Write a file as `Tree.write` does, in a directory that nobody else can replace."""
    with Tree.open(path.parent) as tree:
        tree.write(path.name, data, mode, owner, lasting=lasting)


def _mkdir(directory: int, name: str, mode: int) -> bool:
    try:
        os.mkdir(name, mode, dir_fd=directory)
    except FileExistsError:
        return False
    return True


def _fill(file: int, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
    if owner is not None:
        os.fchown(file, *owner)
    os.fchmod(file, mode)


def _parts(path: str | PurePath) -> list[str]:
    parts = [part for part in str(path).split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InTheWay(errno.EXDEV, "the path leads out of its directory", str(path))
    return parts


def _open(directory: int, parts: list[str], flags: int) -> int:
    """Open what is below a directory, following no link: by one call, or step by step where the kernel is older."""
    if not parts:
        return os.open(".", flags, dir_fd=directory)
    how = HOW.pack(flags, 0, BENEATH | NO_LINKS | NO_MAGIC_LINKS)
    found = int(_libc.syscall(OPENAT2, directory, "/".join(parts).encode(), how, len(how)))
    if found >= 0:
        return found
    number = ctypes.get_errno()
    if number not in (errno.ENOSYS, errno.EPERM):  # the latter from filters of system calls that do not know it
        raise OSError(number, os.strerror(number))
    return _walk(directory, parts, flags)


def _walk(directory: int, parts: list[str], flags: int) -> int:
    at = os.dup(directory)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_PATH | DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        return os.open(parts[-1], flags | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)


def _checked(shown: str | os.PathLike[str], opening: Callable[[], int]) -> int:
    try:
        return opening()
    except OSError as error:
        name = os.fspath(shown)
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV):
            raise InTheWay(error.errno, "a link, or a file, is where a directory should be", name) from error
        raise OSError(error.errno, error.strerror, name) from error
