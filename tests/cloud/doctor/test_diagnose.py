"""From evidence to verdicts: the first hop that fails is the one that explains the rest."""

from __future__ import annotations

from typing import Any

import pytest

from tieline.cloud.doctor.diagnose import HOPS, diagnosis
from tieline.cloud.doctor.evidence import Balancer, Door, Evidence, Inside, Provider, ResourceTest, Target, Visible
from tieline.cloud.doctor.health import backend_health
from tieline.cloud.doctor.hops import Diagnosis, HopName, Verdict
from tieline.cloud.model.records import LinkStatus

SERVICE = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"
ZONES = ("use1-az1", "use1-az2")
NLB = Balancer(arn="arn:lb", kind="network", scheme="internal", state="active", zones=ZONES)
HEALTHY = Target(listen=5432, target="10.0.1.10:5432", state="healthy")
PROVIDER = Provider(
    exists=True,
    principals=("arn:me",),
    zones=ZONES,
    balancers=(NLB,),
    listeners=(5432,),
    targets=(HEALTHY,),
    connection="available",
)
DB = ResourceTest(name="db", server="x:5432", port=5432, statements=1)
WELL = Evidence(
    link="orders",
    service_name=SERVICE,
    region="us-east-1",
    principal="arn:me",
    deployment_zones=ZONES,
    status=LinkStatus.RUNNING,
    endpoint="vpce-1",
    endpoint_state="available",
    zones=ZONES,
    address="x",
    ports=(5432,),
    visible=Visible(zones=ZONES),
    provider=PROVIDER,
    inside=Inside(addresses=("10.0.1.5",), doors=(Door(port=5432, seconds=0.001),)),
    resources=(DB,),
)


def seen(**changed: Any) -> Diagnosis:
    return diagnosis(WELL.model_copy(update=changed))


def provider(**changed: Any) -> Provider:
    return PROVIDER.model_copy(update=changed)


def test_what_works_passes_at_every_hop_but_tls_which_nobody_uses() -> None:
    found = seen()
    assert found.failing is None
    assert [hop.hop for hop in found.hops] == list(HopName)
    assert {hop.hop for hop in found.hops if hop.verdict is not Verdict.PASS} == {HopName.TLS}
    assert len(HOPS) == len(HopName)


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({"service_name": SERVICE.replace("us-east-1", "eu-west-1")}, "service"),
        ({"visible": None, "provider": Provider(exists=False)}, "service"),
        ({"visible": None, "provider": None}, "service"),
        ({"visible": None}, "principal"),
        ({"visible": Visible(zones=("use1-az5",))}, "zones"),
        ({"provider": provider(balancers=())}, "balancer"),
        ({"provider": provider(balancers=(NLB.model_copy(update={"scheme": "internet-facing"}),))}, "balancer"),
        ({"provider": provider(balancers=(NLB.model_copy(update={"kind": "gateway"}),))}, "balancer"),
        ({"provider": provider(balancers=(NLB.model_copy(update={"state": "provisioning"}),))}, "balancer"),
        ({"ports": (5433,)}, "listeners"),
        ({"provider": provider(targets=())}, "targets"),
        ({"provider": provider(targets=(HEALTHY.model_copy(update={"state": "unhealthy"}),))}, "targets"),
        ({"provider": provider(connection="pendingacceptance")}, "consent"),
        ({"provider": None, "endpoint_state": "rejected"}, "consent"),
        ({"status": LinkStatus.FAILED, "reason": "endpoint_failed"}, "endpoint"),
        ({"inside": Inside(cause="Name or service not known")}, "name"),
        ({"inside": Inside(addresses=("10.0.1.5",), doors=(Door(port=5432, cause="refused"),))}, "tcp"),
        ({"resources": (DB.model_copy(update={"hop": "tls", "tls": True, "server_name": "x"}),)}, "tls"),
        ({"resources": (DB.model_copy(update={"hop": "login", "message": "no entry in pg_hba.conf"}),)}, "login"),
        ({"resources": (DB.model_copy(update={"hop": "database"}),)}, "database"),
        ({"resources": (DB, DB.model_copy(update={"hop": "statement"}))}, "statement"),
    ],
)
def test_the_failing_hop_is_named_with_what_helps(changed: dict[str, Any], failing: str) -> None:
    found = seen(**changed)
    assert found.failing == failing
    [failed] = [hop for hop in found.hops if hop.hop == failing]
    assert failed.evidence
    assert failed.hint or failing in ("database", "statement")


def test_without_the_providers_account_its_hops_are_unknown_with_what_to_ask() -> None:
    found = seen(provider=None)
    assert found.failing is None
    hidden = {hop.hop: hop.hint for hop in found.hops if hop.verdict is Verdict.UNKNOWN and hop.hop != "tls"}
    assert set(hidden) == {HopName.BALANCER, HopName.LISTENERS, HopName.TARGETS}
    assert all("ask the provider" in hint for hint in hidden.values())


def test_an_account_that_does_not_answer_is_unknown_and_not_a_failure() -> None:
    found = seen(visible=None, provider=Provider(error="no credentials"), aws_error="AWS does not answer")
    assert found.failing is None
    assert {hop.verdict for hop in found.hops[:6]} == {Verdict.UNKNOWN}


@pytest.mark.parametrize(
    ("given", "ports", "expected"),
    [
        (None, (5432,), "unknown"),
        (Provider(error="refused"), (5432,), "unknown"),
        (PROVIDER, (5432,), "healthy"),
        (PROVIDER, (), "healthy"),
        (PROVIDER, (5432, 6379), "unhealthy"),
    ],
)
def test_backend_health_is_the_providers_word(given: Provider | None, ports: tuple[int, ...], expected: str) -> None:
    assert backend_health(given, ports) == expected
