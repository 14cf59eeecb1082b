"""The platform as a process: options, files, and a web server that ends in good order."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from tieline.base import private
from tieline.base.http.hosts import Hosts, check_name
from tieline.base.http.limits import KIB, Limits
from tieline.base.http.server import Server
from tieline.base.secrets import Vault, write_private
from tieline.cloud.api.app import MAX_BODY, create_app
from tieline.cloud.api.common.errors import rendered
from tieline.cloud.aws.accounts import Accounts
from tieline.cloud.aws.client import Aws, AwsSettings
from tieline.cloud.deployments.boot import Machine
from tieline.cloud.model.records import Address
from tieline.cloud.platform.encrypted import Keeper, NoTls, add_options, encrypted, listener
from tieline.cloud.platform.platform import Platform
from tieline.cloud.resources.addresses import check_entry
from tieline.cloud.store.repository import Repository
from tieline.store import SQLiteStore

HOST = "127.0.0.1"
STORE, VAULT_KEY, API_KEY, URL = "cloud.db", "secret.key", "api-key", "url"  # files of the state directory
AWS = "aws.json"  # of the state directory: where AWS is, for commands that act in a customer's account
AGENT_STATE = Path("/var/lib/tieline")  # inside the instance
GRACE_SECONDS = 3  # for requests that are under way when the platform is told to end
OPTIONS: dict[str, Any] = {"lifespan": "on", "timeout_graceful_shutdown": GRACE_SECONDS}
LIMITS = Limits(body_bytes=MAX_BODY + KIB)  # what is a little too long is refused by REST itself

Mount = Callable[[FastAPI, argparse.Namespace, int], None]  # the port is the one that is listened on


def alone(_: FastAPI, __: argparse.Namespace, ___: int) -> None:
    """Add nothing: the platform alone."""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tieline.cloud", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="directory of the platform's files")
    parser.add_argument("--port", type=int, default=8080, help="of the REST interface, on loopback; 0 takes a free one")
    add_options(parser)
    parser.add_argument("--aws-endpoint", help="URL of the fabric; without it AWS itself")
    parser.add_argument("--credentials", type=Path, help="AWS credentials file")
    parser.add_argument("--profile", help="profile of the credentials file")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument(
        "--aws-profile",
        action="append",
        default=[],
        metavar="NAME",
        help="AWS profile that deployments of the provider aws may name; again for each; none by default",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        type=check_name,
        metavar="NAME",
        help="a name or address that clients ask by, besides this machine's own; again for each",
    )
    parser.add_argument(
        "--allow-address",
        action="append",
        default=[],
        type=check_entry,
        metavar="CIDR|NAME",
        help="what resources may name besides private links; again for each; everything but the agent's own by default",
    )
    return parser.parse_args(arguments)


def build(chosen: argparse.Namespace, port: int) -> Platform:
    """The platform of a state directory; the first start writes its keys."""
    state: Path = chosen.state.resolve()
    private.directory(state)
    aws = Aws(AwsSettings(chosen.region, chosen.aws_endpoint, chosen.credentials, chosen.profile))
    machine = Machine(sys.executable, Address(host=HOST, port=port), AGENT_STATE)
    platform = Platform(
        Repository(SQLiteStore(state / STORE)),
        Accounts(aws, chosen.aws_profile),
        Vault.open(state / VAULT_KEY),
        machine,
        chosen.allow_address,
    )
    if key := platform.first_key():
        write_private(state / API_KEY, key)
    (state / URL).write_text(f"http://{HOST}:{port}")
    (state / AWS).write_text(json.dumps({"endpoint": chosen.aws_endpoint, "region": chosen.region}))
    return platform


async def serve(chosen: argparse.Namespace, mount: Mount) -> None:
    """Serve until SIGTERM or SIGINT, with what `mount` adds to the application; raises OSError, NoTls."""
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(listener(HOST, chosen.port))
        port = plain.getsockname()[1]
        platform = build(chosen, port)
        app = create_app(platform)
        mount(app, chosen, port)
        hosts = Hosts([socket.gethostname(), *chosen.allow_host, *chosen.tls_name])
        serving = [(Server(app, LIMITS, hosts, rendered, **OPTIONS), plain)]
        if secure := encrypted(chosen, chosen.state.resolve()):
            also = stack.enter_context(listener(secure.address.host, secure.address.port))
            files = {"ssl_certfile": str(secure.chain), "ssl_keyfile": str(secure.key)}
            server = Server(app, LIMITS, hosts, rendered, **(OPTIONS | {"lifespan": "off"}), **files)
            server.config.load()
            assert server.config.ssl is not None, "it has a certificate"
            keeper = Keeper(secure, server.config.ssl, platform.alerts.note, hosts.add)
            keeping = asyncio.create_task(keeper.run(), name="certificate")
            stack.callback(keeping.cancel)
            serving.append((server, also))
        await asyncio.gather(*(server.serve(sockets=[listening]) for server, listening in serving))


def main(arguments: Sequence[str] | None = None, mount: Mount = alone) -> int:
    """Run the platform; the exit status is 0 where it was asked to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    chosen = options(sys.argv[1:] if arguments is None else arguments)
    private.harden()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        asyncio.run(serve(chosen, mount))
    except NoTls as error:
        logging.error("cannot serve with TLS: %s", error)
        return 1
    except OSError as error:
        also = f" or {chosen.tls}" if chosen.tls else ""
        logging.error("cannot serve on %s:%s%s: %s; choose another --port", HOST, chosen.port, also, error)
        return 1
    except KeyboardInterrupt:
        pass
    return 0
