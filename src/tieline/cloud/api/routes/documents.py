"""REST: the JSON Schema of the documents that `tieline apply` takes, for editors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tieline.cloud.api.common.document_shapes import schema

router = APIRouter(prefix="/schema", tags=["operations"])


@router.get("/documents")
async def documents() -> dict[str, Any]:
    """The shape of a document with deployments, private links, resources and rules."""
    return schema()
