"""Builds the plugin that tells rules who published a message, once per directory and version of its source."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from pathlib import Path

from tieline.base import trees

SOURCE = Path(__file__).with_suffix(".c")
HEADERS = tuple(Path("/usr/include") / name for name in ("mosquitto.h", "mosquitto_plugin.h"))
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")
PACKAGES = "gcc libc6-dev mosquitto-dev libmosquitto-dev"  # Debian's
WITHOUT = "rules see NULL as clientid and username: {missing}; then start the agent again"


async def build(directory: Path) -> tuple[Path | None, str]:
    """The plugin in this directory, built where it is not there yet; or None, and what is missing."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    target = directory / f"origin-{digest}.so"
    if target.exists():
        return target, ""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None or not all(header.exists() for header in HEADERS):
        return None, WITHOUT.format(missing=f"install a C compiler and Mosquitto's headers (apt install {PACKAGES})")
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="origin-") as own:  # the broker's directory is the broker's
        draft = Path(own, target.name)
        process = await asyncio.create_subprocess_exec(
            *(compiler, *FLAGS, "-o", draft, SOURCE),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            last = output.decode(errors="replace").strip().splitlines()[-1:] or ["no word"]
            return None, WITHOUT.format(missing=f"{compiler} could not build the broker's plugin: {last[0]}")
        trees.write(target, draft.read_bytes())
    return target, ""
