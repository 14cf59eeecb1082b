"""Lists in pages: an opaque cursor says where the next page begins, so that nothing is told twice or left out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field

from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import Stored

MOST = 1000  # records in one answer

R = TypeVar("R", bound=Stored)


class Page(BaseModel):
    """Which part of a list is asked for."""

    limit: Annotated[int, Field(ge=1, le=MOST, description="records in the answer")] = MOST
    cursor: Annotated[str, Field(max_length=400, description="next_cursor of the page before; none for the first")] = ""


class Paged(BaseModel):
    """One page of a list."""

    next_cursor: str | None = Field(default=None, description="cursor of the next page; null on the last one")


def cut(records: Sequence[R], page: Page) -> tuple[list[R], str | None]:
    """The page of records in order of id, and the cursor of the next one; raises PlatformError for a wrong cursor."""
    after = decoded(page.cursor)
    later = [record for record in records if record.id > after]
    chosen = later[: page.limit]
    return chosen, encoded(chosen[-1].id) if len(later) > len(chosen) else None


def encoded(id: str) -> str:
    """The cursor that stands for an id."""
    return base64.urlsafe_b64encode(id.encode()).decode().rstrip("=")


def decoded(cursor: str) -> str:
    """The id of a cursor; raises PlatformError where it is none of ours."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise PlatformError(422, "INVALID_CURSOR", "this is no cursor of ours", "take next_cursor of a page") from error
