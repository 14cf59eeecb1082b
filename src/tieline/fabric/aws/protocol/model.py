"""The services that are served, from botocore's models: which operations they have and how each is read and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any, Literal, cast

from botocore.loaders import Loader
from botocore.model import OperationModel, OperationNotFoundError, ServiceModel

from tieline.fabric.aws.protocol import document
from tieline.fabric.aws.protocol.errors import Protocol, invalid_action
from tieline.fabric.aws.protocol.form import Tree
from tieline.fabric.aws.protocol.parse import compile_input
from tieline.fabric.aws.protocol.serialize import Serialize, compile_output, namespace_of

ServiceName = Literal["ec2", "elbv2", "sts", "cloudwatch"]
SERVICES: tuple[ServiceName, ...] = ("ec2", "elbv2", "sts", "cloudwatch")


class Operation:
    """One operation of a service; each direction is compiled at its first use."""

    def __init__(self, model: OperationModel, protocol: Protocol) -> None:
        self.name = model.name
        self._model = model
        self._protocol = protocol

    @property
    def parameters(self) -> frozenset[str]:
        """The names of all parameters that AWS knows."""
        shape = self._model.input_shape
        return frozenset(shape.members if shape is not None else ())

    @cached_property
    def parse(self) -> Callable[[Tree], dict[str, Any]]:
        """The request's tree to typed parameters; raises AwsError."""
        if self._protocol == "json":
            return document.compile_input(self._model)
        return compile_input(self._model, self._protocol)

    @cached_property
    def serialize(self) -> Serialize:
        """Values and request id to the body; raises KeyError or TypeError where the values do not fit the model."""
        if self._protocol == "json":
            return document.compile_output(self._model)
        return compile_output(self._model, self._protocol)


class Service:
    """A service as botocore describes it: `signing_name` is its name in a signature's scope."""

    def __init__(self, name: ServiceName, model: ServiceModel) -> None:
        self.name: ServiceName = name
        self.protocol = cast(Protocol, model.resolved_protocol)  # what boto3 and the AWS CLI speak
        self.version = model.api_version
        self.signing_name = model.signing_name
        self.target = f"{model.metadata.get('targetPrefix', '')}.".encode()  # before the name, in the json protocol
        self.namespace = namespace_of(model.operation_model(model.operation_names[0]))
        self._model = model
        self._operations: dict[str, Operation] = {}

    def operation(self, name: str) -> Operation:
        """The operation of that name; raises InvalidAction where AWS has none either."""
        known = self._operations.get(name)
        if known is None:
            try:
                model = self._model.operation_model(name)
            except OperationNotFoundError:
                raise invalid_action(name) from None
            known = self._operations[name] = Operation(model, self.protocol)
        return known


@cache
def services() -> Mapping[ServiceName, Service]:
    """Every served service by name, loaded once per process."""
    loader = Loader()
    return {name: Service(name, ServiceModel(loader.load_service_model(name, "service-2"), name)) for name in SERVICES}
