"""What people ask of resources: checked against their type, secrets taken apart, named by link or by address."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tieline.base.hostport import joined
from tieline.base.secrets import Vault, new_id
from tieline.base.servers import mapped, remapped, rewritten, split_servers
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.problems import PlatformError, in_use, name_taken
from tieline.cloud.model.records import MASK, Deployment, Name, PrivateLink, Resource, ResourceView, Rule
from tieline.cloud.resources.addresses import check_address
from tieline.cloud.resources.dependants import links_of, rules_using
from tieline.cloud.store.repository import Repository
from tieline.integration.config import shapes as config
from tieline.integration.sinks import BY_TYPE

NOT_YET = "{name}.link.invalid"  # a name that never resolves (RFC 6761, 6.4): rules wait for the link's address

_EXAMPLES: Final = {
    "server": "db.example.com:5432, or link:orders:5432",
    "servers": "a.example.com:6379,b.example.com:6379, or link:orders:6379",
    "url": "https://example.com/messages, or http://link:orders:8080/messages",
}


class NewResource(BaseModel):
    """A resource to create or test; further fields are those of its type, such as database and username."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "name": "orders",
                    "type": "postgresql",
                    "server": "link:orders:5432",
                    "database": "app",
                    "username": "app",
                    "password": "secret",
                }
            ]
        },
    )

    name: Name
    type: str = Field(max_length=50, examples=["postgresql"], description=f"one of {', '.join(BY_TYPE)}")
    server: str = Field(
        max_length=2000,
        description="host:port, or link:<name>:port for what is behind a private link; some types take several with "
        "commas between them, or a URL, and also their own name for it, such as url",
    )

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_type(cls, given: Any) -> Any:
        """EMQX's name for where a resource is depends on its type; a record has one for all of them."""
        kind = BY_TYPE.get(str(given.get("type"))) if isinstance(given, dict) else None
        if kind is None or kind.resource.ADDRESS not in given:
            return given
        known = {name: value for name, value in given.items() if name != kind.resource.ADDRESS}
        return {**known, "server": given[kind.resource.ADDRESS]}  # a patch says it beside what is recorded


def create_resource(records: Repository, vault: Vault, deployment: Deployment, wanted: NewResource) -> Resource:
    """Record a resource that fits its type; raises PlatformError with nothing changed."""
    if _named(records, deployment, wanted.name):
        raise name_taken("resource", wanted.name)
    resource = draft(records, vault, deployment, wanted)
    records.commit(write=[resource])
    return resource


def replace_resource(
    records: Repository, vault: Vault, deployment: Deployment, found: Resource, wanted: NewResource
) -> Resource:
    """Record the resource as it is wanted now; rules that name it follow. Raises PlatformError with nothing changed."""
    if wanted.type != found.type:
        message = f"resource {found.name!r} is of type {found.type}, and stays so"
        raise PlatformError(422, "TYPE_FIXED", message, "create another resource, and change the rules to it")
    if wanted.name != found.name and _named(records, deployment, wanted.name):
        raise name_taken("resource", wanted.name)
    changed = draft(records, vault, deployment, wanted, found)
    if vault.decrypt(changed.secrets) == vault.decrypt(found.secrets):
        changed = changed.model_copy(update={"secrets": found.secrets})
    users = rules_using(found, records.all(Rule)) if wanted.name != found.name else []
    write = [*(_renamed(rule, found.name, wanted.name) for rule in users), *([changed] if changed != found else [])]
    records.commit(write=write)
    return records.get(Resource, found.id) or changed


def _named(records: Repository, deployment: Deployment, name: str) -> Resource | None:
    found = records.all(Resource, lambda item: (item.deployment, item.name) == (deployment.id, name))
    return found[0] if found else None


def _renamed(rule: Rule, old: str, new: str) -> Rule:
    actions = [
        action.model_copy(update={"resource": new}) if action.resource == old else action for action in rule.actions
    ]
    return rule.model_copy(update={"actions": tuple(actions)})


def draft(
    records: Repository, vault: Vault, deployment: Deployment, wanted: NewResource, known: Resource | None = None
) -> Resource:
    """The resource that is wanted, checked and not recorded; raises PlatformError.

    A secret that is given as ****** is that of `known`, or of the recorded resource of the same name, as long as it is
    told to the same server, which has to prove itself in the same way.
    """
    options, secrets = _apart(wanted.type, wanted.model_dump(exclude={"name", "type", "server"}))
    _check_server(records, deployment, wanted.type, wanted.server)
    for address in mapped(options):
        _check_places(records, deployment, wanted.type, "server", address)
    resource = Resource(
        id=known.id if known else new_id("res"),
        version=known.version if known else 0,
        deployment=deployment.id,
        name=wanted.name,
        type=wanted.type,
        server=wanted.server,
        options=options,
        secrets=vault.encrypt(json.dumps(secrets, sort_keys=True)),
        created=known.created if known else timestamp(time.time()),
    )
    known = known or _named(records, deployment, wanted.name)
    kept = _kept(vault, known, resource, secrets)
    given_for = known.given_for if known and kept else {}
    hidden = vault.encrypt(json.dumps({**secrets, **kept}, sort_keys=True))
    return resource.model_copy(update={"secrets": hidden, "given_for": given_for})


def delete_resource(records: Repository, resource: Resource, cascade: bool = False) -> None:
    """Delete a resource; raises PlatformError while rules use it, unless `cascade` deletes them too."""
    rules = rules_using(resource, records.all(Rule))
    if rules and not cascade:
        raise in_use("resource", resource.name, rules)
    records.commit(delete=[*rules, resource])


def view(resource: Resource, vault: Vault) -> ResourceView:
    """The resource as anybody may see it."""
    shown = dict(resource.options)
    for name, value in _secrets(resource, vault).items():
        _put(shown, name, MASK if value else "")
    common = resource.model_dump(exclude={"options", "secrets", "given_for"})
    return ResourceView(**{**shown, **common})


def to_config(resource: Resource, vault: Vault, links: Iterable[PrivateLink]) -> config.Resource:
    """The resource as the agent needs it, the link's address in place of its name; raises PlatformError.

    Its link's server name is what TLS verifies, where the resource says none. A link without an address yet becomes a
    name that does not resolve, so that messages wait instead of being lost; so does one whose service is another one
    than the resource's secrets were given for.
    """
    through = links_of(resource, links)
    known = {link.name: link.address for link in through}
    moved = elsewhere(resource, vault, through)

    def place(name: str, host: str, port: int) -> str:
        if moved is not None:
            return joined(NOT_YET.format(name=moved.name), port)
        return joined((known.get(name) or NOT_YET.format(name=name)) if name else host, port)

    where = BY_TYPE[resource.type].resource.ADDRESS
    members = {**remapped(resource.options, place), "id": resource.id, "name": resource.name}
    members[where] = rewritten(resource.server, place)
    for secret, value in _secrets(resource, vault).items():
        _put(members, secret, value)
    names, tls = [link.server_name for link in through if link.server_name], members.get("ssl", {})
    if names and isinstance(tls, dict) and not tls.get("server_name"):
        members["ssl"] = {**tls, "server_name": names[0]}
    try:
        return msgspec.convert({**members, "type": resource.type}, config.Resource)
    except msgspec.ValidationError as error:
        message = f"this is no {resource.type} resource: {error}"
        raise PlatformError(422, "INVALID_RESOURCE", message, f"its fields: {_field_names(resource.type)}") from error


def elsewhere(resource: Resource, vault: Vault, links: Iterable[PrivateLink]) -> PrivateLink | None:
    """The first of its links that leads to another service than its secrets were given for: they are not told there."""
    if not any(_secrets(resource, vault).values()):
        return None
    for link in links_of(resource, links):
        if resource.given_for.get(link.id, link.service_name) != link.service_name:
            return link
    return None


def secrets_again(link: PrivateLink) -> tuple[str, str]:
    """Why the secrets of a resource are not told, and what helps."""
    reason = f"private link {link.name!r} leads to another service than this resource's secrets were given for"
    return reason, "give the resource's secrets again, if that service is to have them; its rows wait meanwhile"


def check_allowed(records: Repository, deployment: Deployment, wanted: NewResource, allowed: Sequence[str]) -> None:
    """Raises PlatformError 403 for a server that the operator does not let resources name (see addresses)."""
    links = records.all(PrivateLink, lambda link: link.deployment == deployment.id)
    for address in (wanted.server, *mapped(wanted.model_extra or {})):
        with contextlib.suppress(ValueError):  # what is no server at all is told elsewhere
            for name, host, _ in split_servers(address):
                if not name and host not in [link.address for link in links]:
                    check_address(host, not deployment.joined_by_hand, allowed)


def _check_server(records: Repository, deployment: Deployment, type: str, server: str) -> None:
    _check_places(records, deployment, type, BY_TYPE[type].resource.FORM, server)


def _check_places(records: Repository, deployment: Deployment, type: str, form: str, server: str) -> None:
    """Raises PlatformError where an address is not of this form, or names a link that is not there."""
    try:
        if ("://" in server) != (form == "url") or ("," in server and form != "servers"):
            raise ValueError(f"a {type} resource takes a {form}")
        names = {name for name, _, _ in split_servers(server)} - {""}
    except ValueError as error:
        hint = f"for example {_EXAMPLES[form]}"
        raise PlatformError(422, "INVALID_SERVER", f"server {server!r}: {error}", hint) from error
    known = [link.name for link in records.all(PrivateLink, lambda link: link.deployment == deployment.id)]
    for name in sorted(names.difference(known)):
        message = f"deployment {deployment.name!r} has no private link {name!r}"
        raise PlatformError(422, "UNKNOWN_LINK", message, f"its private links: {', '.join(known) or 'none'}")


def _apart(type: str, fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields without the secret ones, and the secret ones by dotted name; raises PlatformError."""
    if type not in config.RESOURCE_TYPES:
        message = f"there is no resource type {type!r}"
        raise PlatformError(422, "UNKNOWN_TYPE", message, f"types: {', '.join(config.RESOURCE_TYPES)}")
    options: dict[str, Any] = json.loads(json.dumps(fields))
    secrets: dict[str, str] = {}
    for name in _secret_names(type):
        group, _, last = name.rpartition(".")
        inside = options.get(group) if group else options
        if isinstance(inside, dict) and last in inside:
            value = inside.pop(last)
            if not isinstance(value, str):
                raise PlatformError(422, "INVALID_RESOURCE", f"{name} must be a text", "give it as a text")
            secrets[name] = value
    return options, secrets


def _kept(vault: Vault, known: Resource | None, wanted: Resource, secrets: Mapping[str, str]) -> dict[str, str]:
    """The recorded secrets behind each mask; raises PlatformError where they would be told to somebody else."""
    told = _told(wanted, vault)
    masked = sorted(name for name, value in secrets.items() if value == MASK)
    if not masked:
        return {}
    names, stored = ", ".join(masked), _secrets(known, vault) if known else {}
    if not set(masked) <= stored.keys():
        message = f"{names}: {MASK} stands for a secret that is stored, and none is stored for {wanted.name!r}"
        raise PlatformError(422, "SECRET_REQUIRED", message, "give the secret itself, or leave the field out")
    before = _told(known, vault) if known else {}
    if differing := sorted(name for name in {*told, *before} if told.get(name) != before.get(name)):
        message = f"{names}: what is stored was given for another {', '.join(differing)}, and is told to nobody else"
        raise PlatformError(422, "SECRET_REQUIRED", message, f"give {names} again together with this change")
    return {name: stored[name] for name in masked}


def _told(resource: Resource, vault: Vault) -> dict[str, Any]:
    """What decides whom a resource's secrets are told (see Kind.told); raises PlatformError where it is none."""
    return BY_TYPE[resource.type].told(to_config(resource, vault, ()))


def _secrets(resource: Resource, vault: Vault) -> dict[str, str]:
    found: dict[str, str] = json.loads(vault.decrypt(resource.secrets) or "{}")
    return found


def _secret_names(type: str) -> list[str]:
    return [field.name for field in config.RESOURCE_TYPES[type] if field.secret]


def _field_names(type: str) -> str:
    return ", ".join(f"{field.name}{' (required)' * field.required}" for field in config.RESOURCE_TYPES[type])


def _put(members: dict[str, Any], name: str, value: str) -> None:
    group, _, last = name.rpartition(".")
    if group:
        members[group] = {**members.get(group, {}), last: value}
    else:
        members[last] = value
