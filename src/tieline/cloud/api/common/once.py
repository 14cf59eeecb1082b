"""Routes that answer a repeated POST as they did the first time, where it carries an Idempotency-Key."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from tieline.cloud.api.common.context import admitted
from tieline.cloud.platform.platform import Platform

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
HEADER = "Idempotency-Key"
JSON = "application/json"


class Once(APIRoute):
    """A route that heeds Idempotency-Key."""

    def get_route_handler(self) -> Handler:
        """The operation, or the answer that it gave before."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if request.method != "POST" or HEADER not in request.headers:
                return await inner(request)
            return await _once(request, inner)

        return handle


async def _once(request: Request, inner: Handler) -> Response:
    there: Platform = request.app.state.platform
    scope = (admitted(request).id, request.url.path)
    body = await request.body()
    id, known = there.idempotency.begin(request.headers[HEADER], scope, body, time.time())
    if known is not None:
        status, content = known
        return Response(content or None, status, {"Idempotency-Replayed": "true"}, JSON if content else None)
    answer: tuple[int, bytes] | None = None
    try:
        response = await inner(request)
        if response.status_code < 300:
            answer = response.status_code, bytes(response.body)
        return response
    finally:
        there.idempotency.finish(id, body, answer, time.time())
