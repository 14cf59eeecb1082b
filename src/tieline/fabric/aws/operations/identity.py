"""STS: who is calling."""

from __future__ import annotations

from tieline.fabric.aws.operations.calls import Answer, Call, operation


@operation("sts", "GetCallerIdentity")
def get_caller_identity(call: Call) -> Answer:
    return {"Account": call.caller.account, "Arn": call.caller.arn, "UserId": call.caller.user_id}
