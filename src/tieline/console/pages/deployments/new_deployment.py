"""The form that makes a deployment: in a network of its own, in a VPC that exists, or anywhere with a broker beside."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.client.rest import ClientError
from tieline.cloud.schemas.answers import AwsAccess
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, desk, frame, trail, words
from tieline.console.pages.access.access import listed
from tieline.console.session import context

PROVIDERS = {
    "fabric": "In a network of its own (broker included)",
    "aws": "In a VPC of mine, on AWS",
    "external": "Anywhere, without private links",
}
BROKERS = {"beside": "Mosquitto, which the agent starts", "remote": "A broker of my own, such as EMQX"}
AT = {  # the field that an error's code is about
    "ALREADY_EXISTS": "name",
    "UNKNOWN_VPC": "aws.vpc",
    "UNKNOWN_SUBNET": "aws.subnets",
    "SAME_ZONE": "aws.subnets",
    "FORBIDDEN_PROFILE": "aws.profile",
    "PORT_TAKEN": "mqtt.port",
}


@ui.page("/deployments/new", response_timeout=15)
async def new_deployment(request: Request, provider: str = "fabric") -> None:
    """The page; `provider` is chosen already where a link led here."""
    view = await desk(request)
    with frame("New deployment", "/deployments"):
        trail(("Deployments", "/deployments"))
        parts.heading("New deployment", 1)
        try:
            access = await view.ask(lambda client: client.aws_access())
        except ClientError:  # AWS does not answer: nothing can be proposed
            access = None
        with parts.card():
            Form(view, access, provider if provider in PROVIDERS else "fabric")


class Form:
    """The fields by their names in REST; those that a provider has no use for are neither shown nor sent."""

    def __init__(self, view: Desk, access: AwsAccess | None, provider: str) -> None:
        self._view = view
        self._fields: dict[str, Any] = {"name": parts.field("Name")}
        self._provider = parts.choice("Network", PROVIDERS, provider)
        self._fields["cidr"] = parts.field("Address range of its network", "10.0.0.0/16")
        self._shown(self._fields["cidr"], "fabric")
        with parts.stack("wide") as existing:
            self._existing(access)
        self._shown(existing, "aws")
        with parts.stack("wide") as broker:
            self._broker()
        self._shown(broker, "aws", "external")
        self._anonymous = ui.checkbox("Devices may connect without a user", value=False)
        self._outcome = parts.stack()
        with parts.row():
            parts.button("Create deployment", self._create)

    def _shown(self, element: Any, *providers: str) -> None:
        element.bind_visibility_from(self._provider, "value", backward=lambda value: value in providers)

    def _existing(self, access: AwsAccess | None) -> None:
        parts.say("Nothing in the VPC is changed but the endpoints of private links.", "muted")
        region = access.region if access else "the platform's"
        profiles = list(access.profiles) if access else []
        with parts.tag("div", "grid"):
            self._fields |= {
                "aws.vpc": parts.field("VPC"),
                "aws.subnets": parts.field("Subnets, with commas (none: the first of each zone)"),
                "aws.security_groups": parts.field("Security groups, with commas (none: the VPC's default)"),
                "aws.region": parts.field(f"Region (none: {region})"),
                "aws.profile": parts.choice(
                    "Profile", {"": "the platform's own account", **{name: name for name in profiles}}, ""
                ),
                "aws.role": parts.field("Role to assume (ARN)"),
            }
        self._fields["aws.vpc"].props('placeholder="vpc-…"')
        if access:
            with parts.tag("details"):
                parts.tag("summary", text="What the role's trust policy must allow")
                parts.copied(access.principal, "who assumes the role")
                parts.copied(access.external_id, "the external id")

    def _broker(self) -> None:
        self._whose = parts.choice("Broker", BROKERS, "beside")
        self._fields["mqtt.host"] = parts.field("Where devices connect: host", "127.0.0.1")
        self._fields["mqtt.port"] = parts.number("Where devices connect: port", 1883)
        with parts.stack("wide") as remote, parts.tag("div", "grid"):
            self._fields["broker.username"] = parts.field("User of your broker")
            self._fields["broker.password"] = parts.secret("Password of this user")
            self._fields["broker.tls"] = ui.checkbox("With TLS", value=False)
        remote.bind_visibility_from(self._whose, "value", value="remote")

    def _wanted(self) -> dict[str, Any]:
        """The form as REST takes it."""
        value = {name: self._text(name) for name in self._fields}
        wanted: dict[str, Any] = {"name": value["name"], "provider": self._provider.value}
        if self._anonymous.value:
            wanted["anonymous"] = True
        if self._provider.value == "fabric":
            return wanted | {"cidr": value["cidr"]}
        if self._provider.value == "aws":
            wanted["aws"] = {name: value[f"aws.{name}"] for name in ("vpc", "region", "profile", "role")}
            wanted["aws"] |= {name: listed(value[f"aws.{name}"]) for name in ("subnets", "security_groups")}
        place = {"host": value["mqtt.host"], "port": int(self._fields["mqtt.port"].value or 0)}
        if self._whose.value == "beside":
            return wanted | {"mqtt": place}
        secret, tls = self._fields["broker.password"].value, self._fields["broker.tls"].value
        return wanted | {"broker": {**place, "username": value["broker.username"], "password": secret, "tls": tls}}

    def _text(self, name: str) -> str:
        return str(self._fields[name].value or "").strip()

    async def _create(self) -> None:
        wanted = self._wanted()
        self._outcome.clear()
        for field in self._fields.values():
            if hasattr(field, "error"):
                field.error = None
        made = await self._view.act(lambda client: client.create_deployment(**wanted), self._refuse)
        if made is None:
            return
        if not made.join_token:
            ui.navigate.to(f"/deployments/{made.name}")
            return
        with self._outcome:
            parts.say("Created. Start the agent beside the broker with this token, which is shown only now:")
            platform = context.current.place.rest
            command = f"TIELINE_JOIN={made.join_token} tieline agent --platform {platform} --state ./agent"
            parts.copied(command, "the agent's command", block=True)
            ui.link("Go on to the deployment", f"/deployments/{made.name}")

    def _refuse(self, error: ClientError) -> None:
        """Each error at the field that it is about; what is about none, or about one that is not shown, below."""
        told = error.extra.get("fields") or [{"field": AT.get(error.code, ""), "message": words(error)}]
        for item in told:
            field = self._fields.get(place_of(item["field"]))
            if field is not None and hasattr(field, "error"):
                field.error = item["message"]
            else:
                with self._outcome:
                    parts.problem(words(error))


def place_of(field: str) -> str:
    """The form's name of a field that REST names: of a list the list, of a broker its address. Pure."""
    group, _, last = field.partition(".")
    last = last.partition(".")[0]
    if (group, last) in (("broker", "host"), ("broker", "port")):
        group = "mqtt"
    return f"{group}.{last}" if last else group
