"""REST: where agents connect, each with the token of its deployment."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from tieline.agent.protocol import AGENT_HEADER, AGENT_PATH
from tieline.cloud.api.common.errors import problem
from tieline.cloud.platform.platform import Platform

LONGEST_ID = 64

router = APIRouter()


@router.websocket(AGENT_PATH)
async def agent(socket: WebSocket) -> None:
    """Talk to an agent; without a good token it is refused with 401 before the connection is made."""
    there: Platform = socket.app.state.platform
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    deployment = there.admit(token) if scheme.lower() == "bearer" else None
    if deployment is None:
        hint = "start the agent with the join token of an existing deployment"
        await socket.send_denial_response(problem(401, "UNAUTHORIZED", "this join token is not known here", hint))
        return
    await socket.accept()
    id = socket.headers.get(AGENT_HEADER, "")[:LONGEST_ID] if deployment.remote else ""
    await there.hub.serve(deployment.id, socket, id)
