"""The next step to a link that leads to an exposed service, in every state that the link can be in."""

from __future__ import annotations

from typing import Any

import pytest

from tieline.client.connect.join import Accept, Ask, Create, Join, Reach, Reconnect, SetPorts, Wait, next_step, preview
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import LinkStatus, PrivateLinkView

WANTED = Join("orders", "svc-1", (5432,))


def link(status: LinkStatus, **changed: Any) -> PrivateLinkView:
    known = {"id": "pl-1", "deployment": "dep-1", "name": "orders", "service_name": "svc-1", "ports": (5432,)}
    return PrivateLinkView(**{**known, "created": "", "endpoint": "vpce-1", "status": status, **changed})


@pytest.mark.parametrize(
    ("seen", "accept", "step"),
    [
        (None, False, Create()),
        (link(LinkStatus.CREATING), True, Wait()),
        (link(LinkStatus.WAITING_ACCEPTANCE), False, Ask("vpce-1")),
        (link(LinkStatus.WAITING_ACCEPTANCE), True, Accept("vpce-1")),
        (link(LinkStatus.RUNNING), True, Reach()),
        (link(LinkStatus.FAILED, reason="rejected"), True, Reconnect("rejected")),
        (link(LinkStatus.FAILED, reason="service_removed", service_name="svc-0"), True, Reconnect("service_removed")),
        (link(LinkStatus.RUNNING, ports=()), True, SetPorts((5432,))),
        (link(LinkStatus.RUNNING, ports=(6379,)), True, SetPorts((5432, 6379))),
        (link(LinkStatus.RUNNING, ports=(5432, 6379)), True, Reach()),
    ],
)
def test_the_next_step(seen: PrivateLinkView | None, accept: bool, step: object) -> None:
    wanted = Join(WANTED.name, WANTED.service_name, WANTED.ports, accept)
    assert next_step(wanted, seen) == step
    assert preview(wanted, seen)[0] == step
    assert preview(wanted, seen)[-1] == Reach()


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (link(LinkStatus.DELETING), "DELETING"),
        (link(LinkStatus.RUNNING, service_name="svc-0"), "OTHER_SERVICE"),
        (link(LinkStatus.WAITING_ACCEPTANCE, service_name="svc-0"), "OTHER_SERVICE"),
    ],
)
def test_a_link_of_the_same_name_that_is_another_is_left_alone(seen: PrivateLinkView, code: str) -> None:
    with pytest.raises(PlatformError) as refused:
        next_step(WANTED, seen)
    assert (refused.value.code, bool(refused.value.hint)) == (code, True)
