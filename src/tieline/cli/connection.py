"""Where the platform is: from options, a state directory or the environment, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tieline.cli.home import DEFAULT
from tieline.client.rest import Client, ClientError
from tieline.cloud.model.records import NAME_RULE, PrivateLinkView, ResourceView, RuleView

Item = TypeVar("Item", PrivateLinkView, ResourceView, RuleView)

Url = Annotated[str, typer.Option("--url", envvar="TIELINE_URL", help="URL of the platform.", show_default=False)]
ApiKey = Annotated[str, typer.Option("--api-key", envvar="TIELINE_API_KEY", help="API key.", show_default=False)]
State = Annotated[
    Path | None,
    typer.Option("--state", envvar="TIELINE_STATE", help="State directory of tieline up: has URL and key."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the records as JSON.")]
Key = Annotated[str, typer.Argument(help="Id or name.")]
NewName = Annotated[str, typer.Argument(help=f"The new name: {NAME_RULE}.")]
DeploymentKey = Annotated[
    str,
    typer.Option(
        "--deployment", "-d", envvar="TIELINE_DEPLOYMENT", help="Id or name; not needed where there is one only."
    ),
]
Cascade = Annotated[bool, typer.Option("--cascade", help="Also delete what uses it: rules, resources, links.")]
Wait = Annotated[float, typer.Option("--wait", help="Seconds to wait until it is done; 0 returns at once.")]

DEFAULT_URL = "http://127.0.0.1:8080"


def connect(url: Url = "", api_key: ApiKey = "", state: State = None) -> Client:
    """A client of the platform; raises ClientError where the key is missing.

    Where nothing is named it is the one of the directory that `tieline up` takes by default, if that is here.
    """
    if state is None and not url and not api_key and (DEFAULT / "api-key").is_file():
        state = DEFAULT
    if state is not None:
        url = url or _read(state / "url")
        api_key = api_key or _read(state / "api-key")
    if not api_key:
        raise ClientError(
            "NO_API_KEY",
            "no API key is known",
            "give --state DIR (of tieline up) or --api-key; or set TIELINE_STATE or TIELINE_API_KEY",
        )
    return Client(url or DEFAULT_URL, api_key)


def the_deployment(client: Client, key: str) -> str:
    """The deployment that was named, or the only one; raises ClientError where that is not clear."""
    if key:
        return key
    names = [deployment.name for deployment in client.deployments()]
    if len(names) == 1:
        return names[0]
    message = f"there are {len(names)} deployments: {', '.join(names)}" if names else "there is no deployment yet"
    raise ClientError(
        "WHICH_DEPLOYMENT", message, "name one with --deployment" if names else "tieline deployment create"
    )


def with_names(client: Client, found: Sequence[Item], as_json: bool) -> list[Item]:
    """Records of several deployments as a table shows them: with their deployment's name in place of its id."""
    if as_json:
        return list(found)
    names = {one.id: one.name for one in client.deployments()}
    return [item.model_copy(update={"deployment": names.get(item.deployment, "")}) for item in found]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise ClientError("NO_STATE", message, "is this the directory that was given to tieline up --state?") from error
