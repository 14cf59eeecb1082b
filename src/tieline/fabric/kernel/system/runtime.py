"""Directories of what lives no longer than the namespaces, below /run: for the fabric and its resolvers alone."""

from __future__ import annotations

from pathlib import Path

from tieline.fabric.kernel.system.names import Footprint

PASSED, CLOSED = 0o711, 0o700  # a resolver, which is nobody's, gets to its own files and lists no directory


def make(footprint: Footprint, directory: Path) -> None:
    """Have a directory, and those above it, with the modes that they are to have, also where they were made before."""
    inside = directory.relative_to(footprint.runtime)
    for one in (*reversed(inside.parents), inside):
        place, mode = footprint.runtime / one, PASSED if one.parts[:1] in ((), ("resolvers",)) else CLOSED
        place.mkdir(exist_ok=True, mode=mode)
        if place.stat().st_mode & 0o777 != mode:
            place.chmod(mode)
