"""What a kind of sink says of itself: its resource, actions and forms' fields, and what connects and writes.

A sink's file declares a `Resource` and an `Action`, each field once, and a `KIND` that binds them to what connects. All
else follows from the structs: decoding, forms, secrets, documentation. These files are imported by whoever reads a
configuration, so they load their client library by `driver`, when the first connection is made.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    Protocol,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from tieline.integration.rules.compile.template import Path


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of every configuration value."""


def label(text: str, **extra: Any) -> Meta:
    """How a form names a field; `kind` among the extras is the kind of its entry where the type does not tell."""
    return Meta(title=text, extra=extra)


#: Texts that are kept apart and encrypted, and never shown.
Secret = Annotated[str, label("Password", kind="password", secret=True)]
Pem = Annotated[str, Meta(extra={"kind": "pem"})]


class Ssl(Value, frozen=True, kw_only=True):
    """TLS to a server. Certificates and keys are PEM texts."""

    enable: Annotated[bool, label("Enable TLS")] = False
    verify: Annotated[bool, label("Verify the server's certificate")] = True
    cacert: Annotated[Pem, label("CA certificate", kind="pem")] = ""
    cert: Annotated[Pem, label("Client certificate", kind="pem")] = ""
    key: Annotated[Pem, label("Client key", kind="pem", secret=True)] = ""
    server_name: Annotated[str, label("Server name in the certificate")] = ""  # where it is not the address


class Resource(Value, frozen=True, kw_only=True, tag_field="type"):
    """Base of the resources; a form shows a resource's own fields first, then these."""

    #: The field that says where it is, in EMQX's name for it; whether it is `host:port`, several with commas between
    #: them, or a URL; and the port where it names none, 0 where it must.
    ADDRESS: ClassVar[str] = "server"
    FORM: ClassVar[Literal["server", "servers", "url"]] = "server"
    PORT: ClassVar[int] = 0

    id: str
    name: str = ""
    ssl: Ssl = Ssl()
    connect_timeout: Annotated[float, label("Connect timeout (seconds)")] = 5.0  # for each step of connecting
    write_timeout: Annotated[float, label("Write timeout (seconds)")] = 30.0  # then a write is tried again

    @property
    def address(self) -> str:
        """Where it is, as the form says it: `host:port`, several with commas between them, or a URL."""
        found: str = getattr(self, self.ADDRESS)
        return found

    @property
    def tls(self) -> bool:
        """Whether connections are to be encrypted."""
        return self.ssl.enable


class Action(Value, frozen=True, kw_only=True, tag_field="kind"):
    """Base of the actions: what a rule does with each of its outputs."""

    CARRIES: ClassVar[bool] = False  # whether what came with a message goes on with its rows

    id: str
    resource: str
    batch_size: Annotated[int, label("Rows in one write")] = 1000
    batch_bytes: Annotated[int, label("Payload in one write (bytes)")] = 1 << 20
    batch_time: Annotated[float, label("Wait for more rows (seconds)")] = 0.01  # that the first row of a batch waits
    #: 1 keeps the order of each client's messages also where several processes share them: one of them takes all.
    inflight_window: Annotated[int, Meta(ge=1), label("Batches on their way (1 keeps the order)")] = 100
    #: Where rows wait that cannot be written yet: unacknowledged at the broker, or acknowledged on the agent's disk.
    buffer_mode: Annotated[Literal["broker", "disk"], label("Buffer")] = "broker"
    max_buffer_bytes: Annotated[int, Meta(ge=1), label("Buffer on disk at most (bytes)")] = 256 << 20
    buffer_full: Annotated[Literal["wait", "drop_oldest"], label("When the buffer is full")] = "wait"
    request_ttl: Annotated[float, Meta(ge=0), label("Drop rows older than (seconds, 0 never)")] = 0.0

    def paths(self) -> tuple[Path, ...]:
        """The fields that its templates name; raises TemplateError."""
        raise NotImplementedError


class Writer(Protocol):
    """One action's way into a database."""

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Commit a row for each output of the rule; raises Unavailable or Rejected, which tell what was committed."""
        ...


class Sink(Protocol):
    """A database and its connections, made when they are needed."""

    def writer(self, action: Action) -> Writer:
        """The way of one action; raises TemplateError."""
        ...

    async def check(self, actions: Sequence[Action]) -> None:
        """Connect, log in and prepare each action's statement, changing nothing; raises Unavailable."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class Field(Value, frozen=True, kw_only=True):
    """One entry of a form; names with a dot are inside a group."""

    name: str
    label: str
    kind: str = "text"  # text, number, boolean, password, pem, choice, template (of several lines), lines or pairs
    default: Any = None
    required: bool = False
    secret: bool = False
    steers: bool = False  # whether it says whom the secrets are told, as the address does
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """One kind of sink: what can be configured, and what connects."""

    label: str
    resource: type[Resource]
    actions: tuple[type[Action], ...]
    open: Callable[[Any], Sink]  # of a resource; nothing is connected yet
    test: str  # what its Test does after TCP and TLS, in words
    tried: str  # the server that the tests write to and read back from
    paths: Callable[[Any], tuple[Path, ...]] | None = None  # of an action whose grammar differs between kinds

    def paths_of(self, action: Action) -> tuple[Path, ...]:
        """The fields that an action's templates name; raises TemplateError."""
        return self.paths(action) if self.paths is not None else action.paths()

    @property
    def type(self) -> str:
        """The resource's type in JSON."""
        return str(self.resource.__struct_config__.tag)

    @property
    def action_kinds(self) -> tuple[str, ...]:
        """The kinds of its actions in JSON."""
        return tuple(str(action.__struct_config__.tag) for action in self.actions)

    def fields(self) -> tuple[Field, ...]:
        """The resource's form."""
        return form(self.resource, Resource)

    def told(self, resource: Resource) -> dict[str, Any]:
        """What decides whom a resource's secrets are told, by field: its address, its TLS trust, and what else does."""
        steering = [field.name for field in self.fields() if field.steers]
        known = {name: getattr(resource, name) for name in (self.resource.ADDRESS, *steering)}
        return {"type": self.type, **known, "ssl": msgspec.structs.replace(resource.ssl, key="")}


def form(struct: type[Value], base: type[Value]) -> tuple[Field, ...]:
    """The entries for a struct: its own fields in their order, then its base's, without id, name and resource."""
    common = {field.name for field in msgspec.structs.fields(base)}
    fields = msgspec.structs.fields(struct)
    ordered = [field for field in fields if field.name not in common]
    ordered += [field for field in fields if field.name in common - {"id", "name", "resource"}]
    hints = get_type_hints(struct, include_extras=True)
    return tuple(entry for field in ordered for entry in _entries(field, hints[field.name]))


def _entries(field: msgspec.structs.FieldInfo, hint: Any) -> tuple[Field, ...]:
    said: dict[str, Any] = {}
    title = field.name.replace("_", " ").capitalize()
    while get_origin(hint) is Annotated:
        hint, *metas = get_args(hint)
        for meta in metas:
            title, said = meta.title or title, said | (meta.extra or {})
    if isinstance(hint, type) and issubclass(hint, Value):
        return tuple(msgspec.structs.replace(entry, name=f"{field.name}.{entry.name}") for entry in form(hint, Value))
    required = field.required
    default = field.default if field.default is not msgspec.NODEFAULT else None
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    choices = tuple(map(str, get_args(hint))) if get_origin(hint) is Literal else ()
    kind = "choice" if choices else _ENTRIES.get(get_origin(hint) or hint, "text")
    known = {"kind": kind, "choices": choices} | said
    if known["kind"] == "lines" != kind:  # one text, no list
        known["kind"] = "template"
    return (Field(name=field.name, label=title, default=default, required=required, **known),)


_ENTRIES: Final[dict[Any, str]] = {bool: "boolean", int: "number", float: "number", tuple: "lines", dict: "pairs"}


def driver(name: str) -> types.ModuleType:
    """A client library that is loaded when something of it is first used."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
