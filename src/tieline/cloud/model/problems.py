"""The platform's refusals: one exception with a code, whose fault it is in words, and what to do now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tieline.cloud.model.records import NAME_PATTERN, NAME_RULE, Stored


class Dependant(BaseModel):
    """A record that uses another one."""

    kind: str
    id: str
    name: str


class Problem(BaseModel):
    """The one shape of every error answer; some codes add fields of their own."""

    model_config = ConfigDict(extra="allow")

    code: str = Field(examples=["IN_USE"])
    message: str = Field(description="what is wrong, and whose fault it is")
    hint: str = Field(default="", description="what to do now")


class PlatformError(Exception):
    """A refusal: `status` and `headers` are HTTP's, `extra` are further fields of the answer."""

    def __init__(self, status: int, code: str, message: str, hint: str = "", **extra: object) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.hint, self.extra = status, code, message, hint, extra
        self.headers: dict[str, str] = {}


def misfits(errors: Iterable[Any], skip: int = 0) -> list[dict[str, str]]:
    """Each field that does not fit, and why: the values themselves stay out, for one of them may be a password.

    `errors` are pydantic's; the first `skip` parts of where a field is are left out.
    """
    found = []
    for item in errors:
        field = ".".join(str(part) for part in item["loc"][skip:]) or str(next(iter(item["loc"]), ""))
        named = item.get("ctx", {}).get("pattern") == NAME_PATTERN
        found.append(
            {"field": field, "message": NAME_RULE if named else str(item["msg"]).removeprefix("Value error, ")}
        )
    return found


def malformed(fields: list[dict[str, str]]) -> PlatformError:
    """A request with fields that do not fit."""
    message = "; ".join(f"{item['field']}: {item['message']}" for item in fields)
    hint = "correct these fields; nothing was changed"
    return PlatformError(422, "INVALID_REQUEST", message, hint, fields=fields)


def not_found(kind: str, key: str) -> PlatformError:
    """No record has this id or name."""
    return PlatformError(404, "NOT_FOUND", f"there is no {kind} {key!r}", "list what there is, and check id or name")


def name_taken(kind: str, name: str) -> PlatformError:
    """A second record of the same name."""
    return PlatformError(409, "ALREADY_EXISTS", f"a {kind} named {name!r} exists already", "choose another name")


def in_use(kind: str, name: str, dependants: Iterable[Stored]) -> PlatformError:
    """Deletion refused: these records use it."""
    using = [Dependant(kind=item.kind, id=item.id, name=getattr(item, "name", item.id)) for item in dependants]
    names = ", ".join(f"{item.kind} {item.name}" for item in using)
    return PlatformError(
        409,
        "IN_USE",
        f"{kind} {name!r} is used by {names}",
        "delete these first, or delete all together with cascade=true",
        dependants=[item.model_dump() for item in using],
    )
