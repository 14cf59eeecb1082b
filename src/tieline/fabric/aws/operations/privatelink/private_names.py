"""EC2: a service's private DNS name, which leads to the endpoint in the VPCs that enable it.

AWS has the provider prove by a TXT record in the public DNS that it owns the domain. This fabric asks no public DNS, so
it takes only names below domains that nobody can own; those need no proof and are verified at once.
"""

from __future__ import annotations

import re
from typing import Any

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.core import names
from tieline.fabric.core.records import EndpointService

UNOWNED = (".internal", ".test", ".home.arpa", ".example")  # ICANN resolution 2024.07.29.06, RFC 6761, RFC 8375
LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
NAME = re.compile(rf"(?:{LABEL}\.)+{LABEL}")


def checked(name: str) -> str:
    """The name in lower case; raises InvalidParameter for one that is no name, or whose domain somebody may own."""
    lower = name.lower()
    if not lower:
        return ""
    if not NAME.fullmatch(lower) or len(lower) > 253:
        raise AwsError("InvalidParameter", f"The private DNS name '{name}' is not a domain name without wildcards.")
    if names.is_reserved(lower):
        raise AwsError("InvalidParameter", f"'{name}' lies in a domain in which instances have their names.")
    if not lower.endswith(UNOWNED):
        message = f"tieline cannot verify who owns the domain of '{name}'. Use a name below {', '.join(UNOWNED)}."
        raise AwsError("InvalidParameter", message)
    return lower


def configuration(service: EndpointService) -> dict[str, Any]:
    """What the provider sees of the name; the TXT record is what AWS would ask for, and nothing looks it up."""
    if not service.private_dns_name:
        return {}
    proof = {"State": "verified", "Type": "TXT", "Value": f"vpce:{service.id}", "Name": f"_{service.id}"}
    return {"PrivateDnsName": service.private_dns_name, "PrivateDnsNameConfiguration": proof}


def detail(service: EndpointService) -> dict[str, Any]:
    """What a consumer sees of it."""
    if not service.private_dns_name:
        return {"PrivateDnsNames": []}
    return {
        "PrivateDnsName": service.private_dns_name,
        "PrivateDnsNames": [{"PrivateDnsName": service.private_dns_name}],
        "PrivateDnsNameVerificationState": "verified",
    }
