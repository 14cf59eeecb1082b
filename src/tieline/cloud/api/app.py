"""The web application: every router, one error shape, and the description that clients are made from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from tieline.cloud.api import agents, deployments, doctor, errors, links, operations, resources, rules
from tieline.cloud.api.context import caller
from tieline.cloud.platform import Platform

PREFIX = "/api/v1"


def create_app(platform: Platform) -> FastAPI:
    """The application for a platform, which lives as long as the application does."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        platform.start()
        yield
        await platform.close()

    app = FastAPI(
        title="tieline",
        version="1",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.platform = platform
    errors.install(app)
    for router in (deployments.router, links.router, doctor.router, resources.router, rules.router):
        app.include_router(router, prefix=PREFIX, dependencies=[Depends(caller)])
    app.include_router(operations.router)
    app.include_router(agents.router)
    return app
