"""The web application: every router, one error shape, and the description that clients are made from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from tieline.cloud.api.access import audit, keys, retention, sessions, users
from tieline.cloud.api.common import errors
from tieline.cloud.api.common.bodies import sound
from tieline.cloud.api.common.context import caller, operation_id
from tieline.cloud.api.common.errors import documented
from tieline.cloud.api.common.examples import describe
from tieline.cloud.api.routes import (
    agents,
    alerts,
    aws,
    deployments,
    doctor,
    documents,
    letters,
    links,
    mqtt_users,
    operations,
    resources,
    rules,
)
from tieline.cloud.platform.platform import Platform

PREFIX = "/api/v1"
MAX_BODY = 4 * 1024 * 1024  # bytes: a rule's SQL and certificates fit many times


def create_app(platform: Platform) -> FastAPI:
    """The application for a platform, which lives as long as the application does."""
    app = interface()
    app.state.platform = platform
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The life of the application's platform."""
    platform: Platform = app.state.platform
    platform.start()
    yield
    await platform.close()


def interface() -> FastAPI:
    """Every operation, described; it answers once it is given a platform."""
    app = FastAPI(
        title="tieline",
        version="1",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=operation_id,
    )
    errors.install(app)
    describe(app)
    known = documented(401, 403, 413, 422, 429)
    areas = (
        deployments,
        links,
        doctor,
        resources,
        rules,
        letters,
        mqtt_users,
        users,
        keys,
        audit,
        retention,
        alerts,
        aws,
    )
    of_all = (links.of_all, resources.of_all, rules.of_all)
    for router in (*(area.router for area in areas), *of_all):
        guards = [Depends(caller), Depends(sound)]
        app.include_router(router, prefix=PREFIX, dependencies=guards, responses=known, max_body_size=MAX_BODY)
    app.include_router(sessions.router, prefix=PREFIX, dependencies=[Depends(sound)], max_body_size=MAX_BODY)
    app.include_router(documents.router, prefix=PREFIX)
    app.include_router(operations.router)
    app.include_router(agents.router)
    return app
