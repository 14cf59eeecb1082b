"""STS: who is calling, and sessions: of the caller's own, or of an account's role."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, operation
from tieline.fabric.core import sessions
from tieline.fabric.core.ids import ALPHANUMERIC
from tieline.fabric.core.records import AccessKey, Account

ROLE = "tieline-admin"  # the one role of every account: it may do what the account may
ARN = re.compile(r"arn:aws:iam::(\d{12}):role/([\w+=,.@/-]+)")
HOUR = 3600
CHAINED = HOUR  # seconds that a session assumed from another session may last (AWS)


@operation("sts", "GetCallerIdentity")
def get_caller_identity(call: Call) -> Answer:
    return {"Account": call.caller.account, "Arn": call.caller.arn, "UserId": call.caller.user_id}


@operation("sts", "AssumeRole", "RoleArn RoleSessionName DurationSeconds ExternalId")
def assume_role(call: Call) -> Answer:
    """A session of an account's role, for the account itself and for whom it trusts (docs/decisions/0008).

    As on AWS an ExternalId that no trust policy demands is ignored; trust here is of accounts, and demands none.
    """
    account = _trusting(call, call.p["RoleArn"])
    seconds = call.p.get("DurationSeconds", HOUR)
    if call.caller.session_token and seconds > CHAINED:
        limit = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        raise AwsError("ValidationError", limit)
    name, role_id = call.p["RoleSessionName"], "AROA" + account.id.rjust(16, "0")
    arn, user = f"arn:aws:sts::{account.id}:assumed-role/{ROLE}/{name}", f"{role_id}:{name}"
    key = _session(call, account, arn, user, seconds)
    return {"Credentials": _credentials(key), "AssumedRoleUser": {"AssumedRoleId": user, "Arn": arn}}


def _trusting(call: Call, role: str) -> Account:
    """The account whose role it is, if the caller may assume it: AWS does not tell unknown from forbidden."""
    match = ARN.fullmatch(role)
    account = call.world.get(Account, match[1]) if match else None
    known = account is not None and match is not None and match[2] == ROLE
    if known and account is not None and sessions.trusts(account, call.caller.account, call.caller.arn):
        return account
    message = f"User: {call.caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role}"
    raise AwsError("AccessDenied", message, 403)


def _session(call: Call, account: Account, arn: str, user: str, seconds: int) -> AccessKey:
    """A key that ends after so many seconds, and with what it is made from."""
    caller = call.world.get(AccessKey, call.caller.access_key)
    if caller is None:
        raise AwsError("ExpiredToken", "The security token included in the request is expired", 403)
    made_from, expires = sessions.source(call.world, caller, account.id), call.now + timedelta(seconds=seconds)
    if sessions.chain(call.world, made_from) > sessions.LONGEST_CHAIN:
        limit = f"a session has {sessions.LONGEST_CHAIN} others behind it at most: assume the role with an earlier one"
        raise AwsError("AccessDenied", limit, 403)
    id, secret = call.ids.access_key("ASIA")
    return call.world.put(
        AccessKey(
            id=id,
            owner=account.id,
            secret=secret,
            arn=arn,
            user_id=user,
            token=call.ids.text(128, ALPHANUMERIC),
            expires=min(filter(None, (expires, sessions.end(call.world, caller)))),
            source=made_from.id,
        )
    )


def _credentials(key: AccessKey) -> dict[str, Any]:
    return {
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret,
        "SessionToken": key.token,
        "Expiration": key.expires,
    }


@operation("sts", "GetSessionToken", "DurationSeconds")
def get_session_token(call: Call) -> Answer:
    if call.caller.session_token:
        raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
    seconds = call.p.get("DurationSeconds", 12 * HOUR)
    key = _session(call, call.account, call.caller.arn, call.caller.user_id, seconds)
    return {"Credentials": _credentials(key)}
