"""A queue of records on disk: appended and synced in portions, read in order, given up from the front.

A record is a length, a checksum and bytes. Records lie in segments, each a file named by the number of its first
record. The front is kept in a file of its own; where it is lost, records are read again, never skipped.
"""

from __future__ import annotations

import logging
import os
import shutil
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

SEGMENT_BYTES: Final = 8 << 20
SUFFIX: Final = ".rows"
FRONT: Final = "front"
_HEAD: Final = struct.Struct(">II")

log = logging.getLogger(__name__)


class Damaged(OSError):
    """What is read is not what was written, and will not be tomorrow."""


@dataclass
class Segment:
    """One file: the number of its first record, and how much is in it."""

    path: Path
    first: int
    count: int = 0
    size: int = 0

    @property
    def end(self) -> int:
        """The number of the record behind its last one."""
        return self.first + self.count


class Spool:
    """At most `limit` bytes in a directory, which is made where it is missing. Every method may raise OSError."""

    def __init__(self, directory: Path, limit: int) -> None:
        self.directory = directory
        self.limit = limit
        self._segment_bytes = min(SEGMENT_BYTES, max(limit // 8, 1))
        self._file: BinaryIO | None = None  # the last segment, for appending
        self._reader: BinaryIO | None = None
        self._reading: Segment | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self._segments = [_scanned(path) for path in sorted(directory.glob(f"*{SUFFIX}"))]
        self.front = self._kept_front()  # the number of the oldest record that counts
        self._forget()
        self._read = self.front  # the number of the record that is read next

    @property
    def end(self) -> int:
        """The number that the next record gets."""
        return self._segments[-1].end if self._segments else self.front

    @property
    def rows(self) -> int:
        """Records that are not given up yet."""
        return self.end - self.front

    @property
    def unread(self) -> int:
        """Records that nobody has read since the start."""
        return self.end - self._read

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in self._segments)

    def append(self, records: Sequence[bytes]) -> int:
        """Keep the first of these records, as many as there is room for; on disk before this returns how many."""
        room, kept = self.limit - self.size, 0
        out: list[bytes] = []
        for record in records:
            room -= _HEAD.size + len(record)
            if room < 0 and (kept or self.rows):  # a record that alone is over the limit is kept alone
                break
            out.append(_HEAD.pack(len(record), zlib.crc32(record)) + record)
            kept += 1
        if kept:
            self._write(b"".join(out), kept)
        return kept

    def _write(self, data: bytes, count: int) -> None:
        if self._file is None or self._segments[-1].size >= self._segment_bytes:
            self._close()
            segment = Segment(self.directory / f"{self.end:020}{SUFFIX}", self.end)
            self._file = segment.path.open("ab", buffering=0)
            self._segments.append(segment)
            _sync_directory(self.directory)
        segment = self._segments[-1]
        try:
            written = self._file.write(data)
            if written != len(data):
                raise OSError(28, "the disk took only a part")  # ENOSPC
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(segment.size)  # what is there in part is not there
            raise
        segment.count += count
        segment.size += len(data)

    def take(self, count: int, size: int) -> tuple[int, list[bytes]]:
        """The records that are read next, at most so many and about so many bytes; and the number of the first. Raises
        Damaged where the first cannot be read any more.
        """
        first = self._read
        found: list[bytes] = []
        try:
            while len(found) < count and size > 0 and self._read < self.end:
                record = self._next()
                found.append(record)
                size -= len(record)
                self._read += 1
        except OSError:
            self._close_reader()  # where it stands nobody knows
            if not found:
                raise
        return first, found

    def _next(self) -> bytes:
        segment = self._segment()
        if self._read < segment.first:
            raise Damaged(f"{segment.path}: the records before {segment.first} are gone")
        if self._reading is not segment or self._reader is None:
            self._close_reader()
            self._reading, self._reader = segment, segment.path.open("rb")
            for _ in range(self._read - segment.first):
                length, _ = self._head(self._reader)
                self._reader.seek(length, os.SEEK_CUR)
        length, checksum = self._head(self._reader)
        record = self._reader.read(length)
        if zlib.crc32(record) != checksum:
            raise Damaged(f"{segment.path}: record {self._read} is damaged")
        return record

    def _segment(self) -> Segment:
        return next(one for one in self._segments if self._read < one.end)

    def _head(self, reader: BinaryIO) -> tuple[int, int]:
        head = reader.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise Damaged(f"{self._read}: the record is not there")
        length, checksum = _HEAD.unpack(head)
        return length, checksum

    def skip_damaged(self) -> int:
        """Go on behind what cannot be read, at the next segment; how many records are lost by that."""
        segment, before = self._segment(), self._read
        self._read = segment.first if before < segment.first else segment.end
        self._close_reader()
        return self._read - before

    def give_up(self, number: int) -> None:
        """The records before this number are not needed any more. Where that cannot be written down, as on a full
        disk, a restart reads some of them again.
        """
        if number <= self.front:
            return
        self.front = number
        try:
            self._forget()  # first, as it makes room
            new = self.directory / f"{FRONT}.new"
            new.write_text(str(number))
            new.replace(self.directory / FRONT)
        except OSError as error:
            log.warning("%s: the front cannot be written down: %s", self.directory, error)

    def drop_oldest(self) -> int:
        """Make room by giving up the oldest segment; how many records are lost by that which nobody had read."""
        if not self._segments:
            return 0
        until = self._segments[0].end
        lost = max(0, until - max(self._read, self.front))
        self._read = max(self._read, until)
        self.give_up(until)
        return lost

    def absorb(self, directory: Path, count: int, size: int, seconds: float) -> tuple[int, int, bool]:
        """Take the records of another spool, which nobody uses, behind our own, in portions and for so many seconds or
        until there is no more room; remove it once it is empty. How many came, how many were damaged, and whether some
        are left.
        """
        other, came, lost, until = Spool(directory, self.limit), 0, 0, time.monotonic() + seconds
        try:
            while other.unread and time.monotonic() < until:
                try:
                    first, records = other.take(count, size)
                except Damaged:
                    lost += other.skip_damaged()
                    other.give_up(other.end - other.unread)
                    continue
                kept = self.append(records)
                other.give_up(first + kept)
                came += kept
                if kept < len(records):
                    break
            left = bool(other.rows)
        finally:
            other.close()
        if not left:
            shutil.rmtree(directory)
        return came, lost, left

    def close(self) -> None:
        """Close the files; what is in them stays."""
        self._close()
        self._close_reader()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = self._reading = None

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _forget(self) -> None:
        """Remove the segments that lie before the front; the last one stays open while it is appended to."""
        while self._segments and self._segments[0].end <= self.front:
            if len(self._segments) == 1:
                if not self._segments[0].count:
                    return
                self._close()
            if self._reading is self._segments[0]:
                self._close_reader()
            self._segments.pop(0).path.unlink(missing_ok=True)

    def _kept_front(self) -> int:
        """The front that was written down; numbers go on from it where no segment is left, so that none comes twice."""
        try:
            kept = int((self.directory / FRONT).read_text())
        except (OSError, ValueError):
            kept = 0
        return max(self._segments[0].first, min(kept, self._segments[-1].end)) if self._segments else kept


def _scanned(path: Path) -> Segment:
    """A segment as it is on disk; what a crash left of a record at its end is cut off."""
    segment = Segment(path, int(path.stem))
    with path.open("r+b") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            record = file.read(length)
            if len(record) < length or zlib.crc32(record) != checksum:
                break
            segment.count += 1
            segment.size += _HEAD.size + length
        if left := path.stat().st_size - segment.size:
            log.warning("%s: %d bytes behind record %d are damaged, and left out", path, left, segment.end)
            file.truncate(segment.size)
    return segment


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
