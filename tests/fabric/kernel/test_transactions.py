"""A transaction says what differs, and no more; what counts, and what flows depend on, outlives a replacement."""

from __future__ import annotations

from msgspec.structs import replace

from fabric.kernel.test_rules import vpc, wire
from tieline.fabric.core.topology import Filter, Guard, Listener, Permit, Target, Vpc, Wire
from tieline.fabric.kernel.nft import rules, transactions

ONE = Listener(protocol="tcp", port=1, targets=(Target(address="10.0.0.10", port=5),))
TWO = Listener(protocol="tcp", port=2, targets=(Target(address="10.0.0.10", port=5),))


def change(old: Vpc, new: Vpc, before: list[Wire], after: list[Wire]) -> list[str]:
    found = transactions.change(rules.table(old, [], before), rules.table(new, [], after))
    assert found is not None
    return found.splitlines()


def numbered(count: int) -> list[Wire]:
    made = [wire((("tcp", 1),), id=f"vpce-{n}") for n in range(count)]
    crossings = [replace(one.crossings[0], far=f"169.254.8.{n}") for n, one in enumerate(made)]
    return [replace(one, crossings=(crossing,)) for one, crossing in zip(made, crossings, strict=True)]


def test_one_link_more_among_many_is_some_elements() -> None:
    many, offered = numbered(100), vpc((ONE,))
    added = change(offered, offered, many[:99], many)
    assert added and all(line.startswith("add element ip tieline ") for line in added)
    assert all("169.254.8.99" in line and "169.254.8.98" not in line for line in added)
    taken = change(offered, offered, many, many[:99])
    assert taken and all(line.startswith("delete element ip tieline ") for line in taken)
    assert change(offered, offered, many, many) == []


def test_a_target_more_rewrites_one_chain() -> None:
    both = replace(ONE, targets=(*ONE.targets, Target(address="10.0.0.11", port=5)))
    found = change(vpc((ONE, TWO)), vpc((both, TWO)), [], [])
    assert found[0] == "flush chain ip tieline to-10.0.0.60-tcp-1"
    assert [line for line in found if line.startswith("  chain")] == ["  chain to-10.0.0.60-tcp-1 {"]
    assert not any(line.startswith(("add", "delete")) for line in found)


def test_what_is_referred_to_goes_last_and_comes_first() -> None:
    coming = change(vpc((ONE,)), vpc((ONE, TWO)), [], [])
    assert coming.index("  chain to-10.0.0.60-tcp-2 {") < next(n for n, line in enumerate(coming) if "add el" in line)
    going = change(vpc((ONE, TWO)), vpc((ONE,)), [], [])
    assert going[-1] == "delete chain ip tieline to-10.0.0.60-tcp-2"


def test_ranges_are_given_anew() -> None:
    def guarded(*ports: int) -> Vpc:
        permits = tuple(Permit(protocol="tcp", peer="10.0.0.0/16", first=port, last=port + 1) for port in ports)
        guard = Guard(address="10.0.0.60", filter="sg-1", place="door")
        return replace(vpc((ONE,)), filters=(Filter(id="sg-1", inward=permits),), guards=(guard,))

    found = change(guarded(80), guarded(80, 443), [], [])
    assert found[0] == "flush set ip tieline in-sg-1" and found[1].count("10.0.0.0-10.0.255.255") == 2


def test_another_type_wants_a_replacement() -> None:
    text = rules.table(vpc((ONE,)), [], [])
    assert transactions.change(text.replace(rules.SOURCES, "type ipv4_addr : verdict"), text) is None


def test_a_replacement_keeps_the_timeouts_that_are_still_wanted() -> None:
    listing = (
        "table ip tieline {\n\tct timeout idle-tcp-350 {\n\t}\n\tct timeout idle-tcp-60 {\n\t}\n"
        "\tset opened {\n\t\ttype ipv4_addr\n\t\tcounter\n\t\telements = { 10.9.9.9 . tcp . 1 counter }\n\t}\n"
        "\tmap endpoints {\n\t}\n\tchain to-1 {\n\t}\n}\n"
    )
    wanted = rules.table(vpc((ONE,)), [], [])
    assert transactions.replacement(listing, wanted) == (
        "flush table ip tieline\ndelete map ip tieline endpoints\ndelete chain ip tieline to-1\n"
        "delete ct timeout ip tieline idle-tcp-60\ndelete element ip tieline opened { 10.9.9.9 . tcp . 1 }\n" + wanted
    )
    assert transactions.replacement("", wanted) == wanted
