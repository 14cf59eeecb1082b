"""In any world, a flow ends where both sides agreed that it may, and nowhere else, as the text of the tables has it."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from world.isolation.sketches import CLOSED, LISTENER, Sketch, draw, sketches
from world.isolation.walk import Walk

unhurried = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(sketches(20, 60))
def test_flows_end_where_consent_leads_and_nowhere_else(sketch: Sketch) -> None:
    drawn = draw(sketch)
    walk = Walk(drawn.topology)
    for vpc in drawn.hosts:
        for address in drawn.addresses:
            for port in (LISTENER, CLOSED):
                allowed = drawn.passes[vpc].get((address, port))
                assert {end[0] for end in walk.ends(vpc, address, port)} == ({allowed} if allowed else set())


@unhurried
@given(sketches(20, 60))
def test_a_wire_is_there_exactly_for_a_consent(sketch: Sketch) -> None:
    wires = draw(sketch).topology.wires.values()
    accepted = sorted((consumer, provider) for consumer, provider, consent in sketch.links if consent == "accepted")
    assert len(wires) == len(accepted)
    near = [crossing.near for wire in wires for crossing in wire.crossings]
    assert all(address.startswith("169.254.") and not address.startswith("169.254.169.") for address in near)
