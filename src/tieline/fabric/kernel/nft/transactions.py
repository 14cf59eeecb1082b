"""What nft is told to get from one table of a VPC to another, as one transaction.

Pure. A difference is a handful of elements where the whole is thousands: one link more in a VPC with a thousand costs
nft 5 ms instead of 300 (measured on two cores, with the listings that a whole replacement needs).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tieline.fabric.kernel.nft import metering
from tieline.fabric.kernel.nft.rules import TABLE

Name = tuple[str, str]  # the kind of a part, and what it is called
HOLDERS = ("map", "set")
DELETED = {"map": 0, "set": 0, "chain": 1, "ct timeout": 2}  # verdicts hold chains, and rules hold timeouts

# A part of a table as `rules.table` writes it, or as nft lists it.
_PART = re.compile(r"^(?:\t|  )(map|set|chain|ct timeout) (\S+) \{\n(.*?)^(?:\t|  )\}$", re.MULTILINE | re.DOTALL)
_HELD = re.compile(r"^\s*elements = \{(.*?)\}", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """A map, set, chain or timeout policy: what it is, and what it holds."""

    text: str
    head: str
    elements: frozenset[str]


def change(loaded: str, wanted: str) -> str | None:
    """What leads from one text of `rules.table` to another; None where only a replacement does."""
    old, new = _parts(loaded), _parts(wanted)
    kept = old.keys() & new.keys()
    if any(old[name].head != new[name].head for name in kept if name[0] != "chain"):
        return None
    changed = {name for name in kept if old[name].text != new[name].text}
    holders = sorted(name for name in changed if name[0] in HOLDERS)
    chains = {name for name in changed | (old.keys() - new.keys()) if name[0] == "chain"}
    written = sorted((new.keys() - old.keys()) | {name for name in changed if name[0] == "chain"})
    lines = [line for name in holders for line in _taken(name, old[name], new[name])]
    lines += [f"flush chain {TABLE} {name}" for _, name in sorted(chains)]
    if written:
        lines += [f"table {TABLE} {{", *(new[name].text for name in written), "}"]
    lines += [line for name in holders for line in _given(name, old[name], new[name])]
    lines += _deleted(old.keys() - new.keys())
    return "".join(f"{line}\n" for line in lines)


def replacement(listing: str, wanted: str) -> str:
    """What puts `wanted` in the place of the table that `nft list table` shows ("" for none).

    What counts stays, or its counts were lost; and so do timeout policies, for a flow loses its own together with the
    nft object that set it.
    """
    old, new = _parts(listing), _parts(wanted)
    kept = {("set", name) for name in metering.TYPES} | {name for name in new if name[0] == "ct timeout"}
    lines = [f"flush table {TABLE}"] if listing else []
    lines += _deleted(old.keys() - kept)
    for name in sorted(old.keys() & kept & new.keys()):
        lines += _taken(name, old[name], new[name])
    return "".join(f"{line}\n" for line in lines) + wanted


def _parts(text: str) -> dict[Name, Part]:
    return {(match[1], match[2]): _part(match[0], match[1], match[3]) for match in _PART.finditer(text)}


def _part(text: str, kind: str, body: str) -> Part:
    held = _HELD.search(body) if kind in HOLDERS else None
    if held is None:
        return Part(text, body, frozenset())
    elements = (one.split(" counter")[0].strip() for one in held[1].split(","))
    return Part(text, body[: held.start()], frozenset(one for one in elements if one))


def _taken(name: Name, old: Part, new: Part) -> Iterator[str]:
    """Ranges are given anew: whether one that is taken and one that is given overlap is not looked at by every nft."""
    if "interval" in new.head:
        yield f"flush set {TABLE} {name[1]}"
    elif gone := sorted(one.split(" : ")[0] for one in old.elements - new.elements):
        yield f"delete element {TABLE} {name[1]} {{ {', '.join(gone)} }}"


def _given(name: Name, old: Part, new: Part) -> Iterator[str]:
    if more := sorted(new.elements if "interval" in new.head else new.elements - old.elements):
        yield f"add element {TABLE} {name[1]} {{ {', '.join(more)} }}"


def _deleted(names: Iterable[Name]) -> list[str]:
    return [f"delete {kind} {TABLE} {name}" for kind, name in sorted(names, key=lambda one: (DELETED[one[0]], one))]
