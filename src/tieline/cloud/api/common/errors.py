"""Every error answer has one shape: the platform's own refusals, the framework's, and what nobody expected."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tieline.base.http.protocol import Refusal
from tieline.cloud.model.problems import PlatformError, Problem, malformed, misfits
from tieline.store import Conflict

log = logging.getLogger(__name__)

HINTS = {
    400: "send a body of JSON; the interface is described at /api/v1/openapi.json",
    401: "send an API key as Authorization: Bearer …; the first one is in the file api-key of the state directory",
    404: "the interface is described at /api/v1/openapi.json",
    405: "the interface is described at /api/v1/openapi.json",
}


def problem(status: int, code: str, message: str, hint: str = "", **extra: object) -> JSONResponse:
    """An error answer."""
    body = Problem(code=code, message=message, hint=hint, **extra).model_dump()
    return JSONResponse(body, status, headers={"WWW-Authenticate": "Bearer"} if status == 401 else None)


def rendered(refusal: Refusal) -> tuple[bytes, bytes]:
    """A refusal of the server itself, before the application hears of the request."""
    code = HTTPStatus(refusal.status).phrase.upper().replace(" ", "_")
    answer = problem(refusal.status, code, refusal.message, refusal.hint)
    return b"application/json", bytes(answer.body)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of an operation, for its OpenAPI description."""
    return {status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses}


def install(app: FastAPI) -> None:
    """Answer every exception in the one shape."""

    @app.exception_handler(PlatformError)
    async def refused(_: Request, error: PlatformError) -> JSONResponse:
        answer = problem(error.status, error.code, error.message, error.hint, **error.extra)
        answer.headers.update(error.headers)
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return await refused(request, malformed(misfits(error.errors(), skip=1)))  # the first part is body or query

    @app.exception_handler(Conflict)
    async def late(_: Request, error: Conflict) -> JSONResponse:
        return problem(409, "CONFLICT", f"{error.change.kind} was changed by somebody else meanwhile", "try again")

    @app.exception_handler(HTTPException)
    async def plain(_: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).phrase.upper().replace(" ", "_")
        return problem(error.status_code, code, str(error.detail), HINTS.get(error.status_code, ""))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
        message = "the platform failed on this request: a fault of its own, written to its log"
        return problem(500, "INTERNAL", message, "try again; if it persists, report it with the log's lines")
