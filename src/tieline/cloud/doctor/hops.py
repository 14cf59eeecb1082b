"""The hops of a link in order, each with what was found there and what to do about it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from tieline.cloud.doctor.evidence import Evidence


class HopName(StrEnum):
    """From the service to the statement: the first that fails explains those behind it."""

    SERVICE = "service"
    PRINCIPAL = "principal"
    ZONES = "zones"
    BALANCER = "balancer"
    LISTENERS = "listeners"
    TARGETS = "targets"
    CONSENT = "consent"
    ENDPOINT = "endpoint"
    NAME = "name"
    TCP = "tcp"
    TLS = "tls"
    LOGIN = "login"
    DATABASE = "database"
    STATEMENT = "statement"


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Hop(BaseModel):
    """One hop: `evidence` is what was found, `hint` what to do now."""

    hop: HopName
    verdict: Verdict
    evidence: str
    hint: str = ""


class Diagnosis(BaseModel):
    """All hops of a link. `failing` is the first that fails, None where none does."""

    link: str
    failing: HopName | None = None
    hops: list[Hop]
    evidence: Evidence = Field(description="what the verdicts were made from")


def passed(hop: HopName, evidence: str) -> Hop:
    """It works."""
    return Hop(hop=hop, verdict=Verdict.PASS, evidence=evidence)


def failed(hop: HopName, evidence: str, hint: str) -> Hop:
    """It does not work, and this helps."""
    return Hop(hop=hop, verdict=Verdict.FAIL, evidence=evidence, hint=hint)


def unknown(hop: HopName, evidence: str, hint: str = "") -> Hop:
    """Nobody could look, and this tells how to find out."""
    return Hop(hop=hop, verdict=Verdict.UNKNOWN, evidence=evidence, hint=hint)
