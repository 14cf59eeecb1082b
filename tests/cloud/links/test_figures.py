"""Figures of a link from the fabric's own CloudWatch, and the words that people read."""

from __future__ import annotations

from tieline.cli.privatelink.link import carried
from tieline.cloud.links.figures import LinkFigures


def test_words_tell_what_is_known_and_leave_out_what_is_not() -> None:
    totals = {"ActiveConnections": 2.0, "NewConnections": 5.0, "BytesSent": 2048.0, "PacketsSent": 9.0}
    own = LinkFigures(totals={**totals, "RefusedWithoutTarget": 3.0, "RefusedBySecurityGroup": 0.0})
    assert carried(own) == [
        "2 flows open",
        "5 new",
        "2,048 bytes sent in 9 packets",
        "3 refused: no target behind the listener",
    ]
    assert carried(LinkFigures(totals={"BytesProcessed": 7.0})) == ["7 bytes both ways"]
    assert carried(LinkFigures(error="AWS does not answer")) == ["AWS does not answer"]
