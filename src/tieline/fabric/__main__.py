"""Starts the fabric's process: `python -m tieline.fabric --state DIR --prefix P --port 4566 --region us-east-1`."""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

from tieline.base import private
from tieline.base.http.hosts import check_name
from tieline.fabric.daemon.service import serve
from tieline.fabric.kernel.privileges import reduce_daemon


def main() -> None:
    parser = argparse.ArgumentParser(prog="tieline.fabric", description="Serve the fabric on a loopback port.")
    parser.add_argument("--state", type=Path, required=True, help="directory of its records and processes")
    parser.add_argument("--prefix", required=True, help="what the names of all its kernel objects begin with")
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--no-instances", action="store_true", help="refuse RunInstances: nobody's code runs here")
    parser.add_argument("--allow-host", action="append", default=[], type=check_name, metavar="NAME", help="to serve")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    private.harden()
    private.directory(options.state.resolve())
    reduce_daemon()
    # Not uvloop: it leaks a command's pipes into what the command leaves running, and then waits for their end.
    asyncio.run(
        serve(
            options.state,
            options.prefix,
            options.port,
            options.region,
            {"RunInstances"} if options.no_instances else (),
            options.allow_host,
        )
    )


if __name__ == "__main__":
    main()
