"""What was found out about a link, by whom: the platform, the provider's account, and the agent inside."""

from __future__ import annotations

from pydantic import Field

from tieline.cloud.model.records import LinkStatus, Value


class Visible(Value):
    """The service as the platform's account sees it; `zones` are AZ ids."""

    zones: tuple[str, ...] = ()


class Balancer(Value):
    """A load balancer of the service, in the provider's account."""

    arn: str
    kind: str
    scheme: str
    state: str = ""
    zones: tuple[str, ...] = ()


class Target(Value):
    """A target behind a listener port, in ELBv2's words."""

    listen: int
    target: str
    state: str
    reason: str = ""
    description: str = ""


class Provider(Value):
    """The provider's account, asked with the provider's credentials; `error` where it could not be asked."""

    error: str = ""
    exists: bool = False
    principals: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    balancers: tuple[Balancer, ...] = ()
    listeners: tuple[int, ...] = ()
    targets: tuple[Target, ...] = ()
    connection: str = Field(default="", description="the state of the link's endpoint, as the provider sees it")


class Door(Value):
    """A port of the link's address, tried from inside; `cause` is empty where it accepted."""

    port: int
    cause: str = ""
    seconds: float = 0.0


class Inside(Value):
    """What the agent found; `error` where it could not be asked."""

    error: str = ""
    hint: str = ""
    addresses: tuple[str, ...] = ()
    cause: str = ""
    doors: tuple[Door, ...] = ()


class ResourceTest(Value):
    """The Test of a resource that goes through the link; `hop` is empty where it passed."""

    name: str
    server: str
    port: int
    tls: bool = False
    server_name: str = Field(default="", description="the name that the certificate is checked against")
    statements: int = 0
    hop: str = ""
    message: str = ""
    hint: str = ""
    cause: str = ""


class Evidence(Value):
    """Everything that is known of one link at one moment. None: nobody looked."""

    link: str
    service_name: str
    region: str
    principal: str
    deployment_zones: tuple[str, ...] = ()
    status: LinkStatus
    reason: str = ""
    hint: str = ""
    cause: str = ""
    endpoint: str = ""
    endpoint_state: str = ""
    zones: tuple[str, ...] = ()
    address: str = ""
    ports: tuple[int, ...] = ()
    aws_error: str = Field(default="", description="why the platform's account could not be asked")
    visible: Visible | None = None
    provider: Provider | None = None
    inside: Inside | None = None
    resources: tuple[ResourceTest, ...] = ()

    @property
    def wanted_ports(self) -> tuple[int, ...]:
        """The ports that somebody means to use: the link's own, and those of the resources behind it."""
        return tuple(sorted({*self.ports, *(resource.port for resource in self.resources)}))
