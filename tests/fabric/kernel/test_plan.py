"""The steps lead from any space to any other, and from there nowhere."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.fabric.core.topology import Host, Vpc
from tieline.fabric.kernel.net import plan
from tieline.fabric.kernel.net.plan import Link, Space
from tieline.fabric.kernel.system.names import host_link

LINKS = ("lo", "h-1", "h-2")
addresses = st.frozensets(st.sampled_from(["10.0.0.1/32", "10.0.0.2/32", "10.0.0.50/32"]))
links = st.builds(Link, up=st.booleans(), addresses=addresses)
routes = st.builds(lambda n, dev: f"10.0.0.{n} dev {dev}", st.integers(10, 13), st.sampled_from(LINKS[1:]))


@st.composite
def spaces(draw: st.DrawFn, up: bool | None = None) -> Space:
    """With routes over links that are up, and one route to a destination, as the kernel has it."""
    chosen = draw(st.fixed_dictionaries(dict.fromkeys(LINKS, links)))
    chosen = {name: Link(link.up if up is None else up, link.addresses) for name, link in chosen.items()}
    found = {route.split()[0]: route for route in draw(st.lists(routes)) if chosen[route.split()[-1]].up}
    return Space(chosen, frozenset(found.values()))


unhurried = settings(deadline=None, max_examples=50)  # a busy machine is not a failure


@unhurried
@given(spaces(up=True), spaces())
def test_the_steps_lead_there_and_then_nowhere(desired: Space, observed: Space) -> None:
    reached = followed(observed, plan.steps(desired, observed))
    assert reached == desired
    assert plan.steps(desired, reached) == []


@unhurried
@given(spaces(up=True))
def test_a_link_that_was_just_made_gets_everything(desired: Space) -> None:
    made = {name: Link() for name in LINKS}
    steps = plan.steps(desired, Space({}))
    assert followed(Space(made), steps) == desired


@unhurried
@given(spaces(up=True), spaces())
def test_links_that_are_not_asked_for_are_left_alone(desired: Space, observed: Space) -> None:
    only = Space({"h-1": desired.links["h-1"]}, frozenset(route for route in desired.routes if route.endswith("h-1")))
    assert all("h-2" not in step and "lo" not in step for step in plan.steps(only, observed))


def followed(space: Space, steps: list[str]) -> Space:
    """What `ip` makes of the steps."""
    links, routes = dict(space.links), set(space.routes)
    for step in steps:
        match step.split():
            case ["link", "set", name, "up"]:
                held = links[name].addresses
                links[name] = Link(True, held)
            case ["address", "add", address, "dev", name]:
                assert address not in links[name].addresses, "the kernel refuses an address twice"
                links[name] = Link(links[name].up, links[name].addresses | {address})
            case ["address", "del", address, "dev", name]:
                assert address in links[name].addresses, "the kernel refuses to remove what is not there"
                links[name] = Link(links[name].up, links[name].addresses - {address})
            case ["route", "replace", *words]:
                routes = {route for route in routes if route.split()[0] != words[0]} | {" ".join(words)}
            case ["route", "del", *words]:
                routes.remove(" ".join(words))
            case _:
                raise AssertionError(step)
    return Space(links, frozenset(routes))


def test_what_ip_says_is_understood() -> None:
    shown = [
        {"ifname": "lo", "flags": ["UP"], "addr_info": [{"family": "inet", "local": "10.0.0.2", "prefixlen": 32}]},
        {"ifname": "h-1", "flags": [], "addr_info": [{"family": "inet6", "local": "fe80::1", "prefixlen": 64}]},
        {},
    ]
    ways = [
        {"dst": "default", "gateway": "10.0.0.1", "dev": "eth0", "flags": []},
        {"dst": "10.0.0.0/24", "dev": "eth0", "protocol": "kernel", "scope": "link"},
    ]
    assert plan.parse(f"{json.dumps(shown)}\n{json.dumps(ways)}\n") == Space(
        {"lo": Link(True, frozenset({"10.0.0.2/32"})), "h-1": Link()}, frozenset({"default via 10.0.0.1 dev eth0"})
    )


def test_a_vpc_has_its_addresses_and_a_route_for_each_host() -> None:
    host = Host(id="i-1", address="10.0.0.10", prefix_length=24, router="10.0.0.1")
    vpc = Vpc(id="vpc-a", cidrs=("10.0.0.0/16",), resolver="10.0.0.2", hosts=(host,), addresses=("10.0.0.50",))
    space = plan.of_vpc(vpc, [])
    held = space.links["lo"].addresses
    assert held == {"127.0.0.1/8", "10.0.0.1/32", "10.0.0.2/32", "10.0.0.50/32"}
    assert space.routes == {f"10.0.0.10 dev {host_link('i-1')}"}
    assert plan.stale_links(space.links, ["lo", host_link("i-1"), host_link("i-2"), "w-1"], "h-") == [host_link("i-2")]
