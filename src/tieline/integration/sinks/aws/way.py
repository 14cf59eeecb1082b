"""How the AWS SDK connects: as its HTTP library does, to addresses that may be connected to (see reach)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from tieline.integration.sinks.base.kind import driver
from tieline.integration.sinks.base.reach import resolved_now

if TYPE_CHECKING:
    import botocore.awsrequest
    import urllib3.connection
    import urllib3.exceptions
    import urllib3.util.connection
else:
    botocore = driver("botocore")
    urllib3 = driver("urllib3")


def guarded_pools() -> dict[str, Any]:
    """The SDK's pools of connections, by scheme."""
    requests: Any = botocore.awsrequest

    class Http(_Guarded, requests.AWSHTTPConnection):  # type: ignore[misc]
        pass

    class Https(_Guarded, requests.AWSHTTPSConnection):  # type: ignore[misc]
        pass

    class HttpPool(requests.AWSHTTPConnectionPool):  # type: ignore[misc]
        ConnectionCls = Http

    class HttpsPool(requests.AWSHTTPSConnectionPool):  # type: ignore[misc]
        ConnectionCls = Https

    return {"http": HttpPool, "https": HttpsPool}


class _Guarded:
    """A connection that resolves its host by our own judgement."""

    def _new_conn(self) -> socket.socket:
        made: Any = self
        last: OSError = OSError(f"{made.host} has no address")
        try:
            for address in resolved_now(made._dns_host, made.port):
                try:
                    return urllib3.util.connection.create_connection(
                        (address, made.port),
                        made.timeout,
                        source_address=made.source_address,
                        socket_options=made.socket_options,
                    )
                except OSError as error:
                    last = error
            raise last
        except TimeoutError as error:
            said = f"Connection to {made.host} timed out. (connect timeout={made.timeout})"
            raise urllib3.exceptions.ConnectTimeoutError(made, said) from error
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(made.host, made, error) from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(made, f"no connection: {error}") from error
