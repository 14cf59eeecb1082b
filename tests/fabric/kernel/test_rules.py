"""The table says exactly what the wires and listeners say, whatever they are."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tieline.fabric.core.topology import Crossing, Host, Listener, Node, Protocol, Target, Vpc, Wire
from tieline.fabric.kernel.nft import rules
from tieline.fabric.kernel.system.names import wire_link

PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")
ports = st.integers(1, 65535)
targets = st.builds(Target, address=st.sampled_from(["10.0.0.10", "10.0.0.11", "10.0.1.9"]), port=ports)
listeners = st.lists(
    st.builds(
        Listener,
        protocol=st.sampled_from(PROTOCOLS),
        port=ports,
        targets=st.lists(targets, max_size=4, unique=True).map(tuple),
        idle_timeout=st.integers(60, 6000),
    ),
    max_size=5,
    unique_by=lambda one: (one.protocol, one.port),
).map(tuple)
offers = st.lists(st.tuples(st.sampled_from(PROTOCOLS), ports), max_size=5, unique=True).map(tuple)
NODE = "10.0.0.60"
unhurried = settings(deadline=None, max_examples=50)  # a busy machine is not a failure


def vpc(offered: tuple[Listener, ...] = (), id: str = "vpc-b") -> Vpc:
    node = Node(id="eni-1", address=NODE, listeners=offered)
    return Vpc(id=id, cidrs=("10.0.0.0/16",), resolver="10.0.0.2", nodes=(node,))


def wire(admitted: tuple[tuple[Protocol, int], ...], id: str = "vpce-1", consumer: str = "vpc-a") -> Wire:
    crossing = Crossing(
        zone="z", endpoint="10.0.0.50", near="169.254.8.0", far="169.254.8.1", node=NODE, ports=admitted
    )
    return Wire(id=id, consumer=consumer, provider="vpc-b", crossings=(crossing,))


def elements(text: str, name: str) -> set[str]:
    """What a map or a set holds."""
    found = re.search(
        rf"(?:map|set) {name} {{\n    type [^\n]+\n(?:    elements = {{\n(.*?)\n    }}\n)?  }}", text, re.S
    )
    assert found, text
    return {line.strip().rstrip(",") for line in (found[1] or "").splitlines()}


@unhurried
@given(offers)
def test_a_consumer_sends_each_endpoint_port_over_its_wire(admitted: tuple[tuple[Protocol, int], ...]) -> None:
    text = rules.table(vpc(), [wire(admitted)], [])
    expected = {f"10.0.0.50 . {protocol} . {port} : 169.254.8.1 . {port}" for protocol, port in admitted}
    assert elements(text, "endpoints") == expected
    assert "10.0.0.50 : 169.254.8.0" in elements(text, "sources")


@unhurried
@given(listeners, offers)
def test_a_provider_admits_what_is_offered_and_listened_to(
    offered: tuple[Listener, ...], admitted: tuple[tuple[Protocol, int], ...]
) -> None:
    both = (*admitted, *((one.protocol, one.port) for one in offered[::2]))
    text = rules.table(vpc(offered), [], [wire(both)])
    open_ports = [one for one in offered if (one.protocol, one.port) in both]
    arriving = {element.split(" : ")[0] for element in elements(text, "arrivals")}
    place = f'"{wire_link("vpce-1")}" . 169.254.8.1'
    assert arriving == {f"{place} . {one.protocol} . {one.port}" for one in open_ports if one.targets}
    refused = {f"169.254.8.1 . {one.protocol} . {one.port}" for one in open_ports if not one.targets}
    own = {f"{NODE} . {one.protocol} . {one.port}" for one in offered if not one.targets}
    assert elements(text, "refusing") == refused | own


@unhurried
@given(listeners)
def test_every_verdict_has_its_chain_and_every_chain_its_targets(offered: tuple[Listener, ...]) -> None:
    text = rules.table(vpc(offered), [], [wire(tuple((one.protocol, one.port) for one in offered))])
    named = {element.split("goto ")[1] for name in ("listeners", "arrivals") for element in elements(text, name)}
    assert named == set(re.findall(r"chain (to-\S+) \{", text))
    for one in offered:
        body = re.search(rf"chain to-{NODE}-{one.protocol}-{one.port} {{(.*?)\n  }}", text, re.S)
        assert bool(body) == bool(one.targets)
        if body:
            assert all(re.search(rf"{target.address}( \. |:){target.port}\b", body[1]) for target in one.targets)
            assert f'ct timeout set "idle-{one.protocol}-{one.idle_timeout}"' in body[1]


def test_the_number_of_rules_does_not_grow_with_the_links() -> None:
    few, many = (
        rules.table(vpc(), [wire((("tcp", 1),), id=f"vpce-{n}") for n in range(count)], []) for count in (1, 99)
    )
    assert few.count("dnat ip to") == many.count("dnat ip to") == 1


def test_a_crossing_to_a_node_that_is_not_there_leads_nowhere() -> None:
    lost = wire((("tcp", 1),))
    lost = replace(lost, crossings=(replace(lost.crossings[0], node="10.0.0.99"),))
    assert elements(rules.table(vpc(), [], [lost]), "arrivals") == set()


def test_a_wire_to_the_same_vpc_uses_the_listener_itself() -> None:
    one = Listener(protocol="tcp", port=1, targets=(Target(address="10.0.0.10", port=5),))
    looped = wire((("tcp", 1),), consumer="vpc-b")
    text = rules.table(vpc((one,)), [looped], [looped])
    assert "10.0.0.50 . tcp . 1 : goto to-10.0.0.60-tcp-1" in elements(text, "listeners")
    assert elements(text, "endpoints") == elements(text, "arrivals") == set()
    assert f"10.0.0.50 : {NODE}" in elements(text, "sources")


def test_segments_are_clamped_where_a_link_is_attached_and_cost_nothing_elsewhere() -> None:
    machine = Host(id="i-1", address="10.0.0.10", prefix_length=24, router="10.0.0.1")
    attached = replace(machine, id="eni-2", address="10.0.0.11", kind="link")
    assert "maxseg" not in rules.table(replace(vpc(), hosts=(machine,)), [], [])
    text = rules.table(replace(vpc(), hosts=(machine, attached)), [], [])
    assert text.index("maxseg size set rt mtu") < text.index("ct state established,related accept")
