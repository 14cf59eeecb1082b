"""The steps of the guide, in their order: a title, the reason in a sentence, and what is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tieline.demo.story import MESSAGES, Story

S = TypeVar("S", bound=Story)


@dataclass(frozen=True)
class Step(Generic[S]):
    """One step; `run` does it and answers with a line on what it found, or raises."""

    title: str
    why: str
    run: Callable[[S], str]


#: From nothing to rows in the customer's database.
GUIDE: tuple[Step[Story], ...] = (
    Step(
        "Deployment: VPC, subnets in two zones, broker and agent",
        "An MQTT broker in a network of its own. No network leads to it but the port for devices.",
        lambda story: story.make_deployment(),
    ),
    Step(
        "+PrivateLink: zone ids and the ARN to allow",
        "What the customer must know: which zones to serve, and whom to allow.",
        lambda story: story.look_at_offer(),
    ),
    Step(
        "Customer: a VPC with the same addresses",
        "Another account, another network. The same addresses do no harm: the two networks never meet.",
        lambda story: story.customer.make_network(story.zones),
    ),
    Step(
        "Customer: an instance that runs PostgreSQL",
        "A real database. Nothing outside its VPC can reach it.",
        lambda story: story.customer.start_database(),
    ),
    Step(
        "Customer: target group, load balancer, listener",
        "A network load balancer offers the database on port 5432, inside the customer's VPC.",
        lambda story: story.customer.balance(),
    ),
    Step(
        "Customer: a probe from the balancer has succeeded",
        "The balancer asks the database how it is before it sends anybody there.",
        lambda story: story.customer.wait_healthy(),
    ),
    Step(
        "Customer: endpoint service, allowed principal",
        "The customer publishes the balancer as a service, and names who may ask for a connection.",
        lambda story: story.customer.publish(story.principal),
    ),
    Step(
        "Create PrivateLink: waits for the customer's consent",
        "The deployment asks. Until the customer agrees, no packet passes.",
        lambda story: story.create_link(),
    ),
    Step(
        "Test before consent: fails at the hop `link`",
        "An error names the hop that fails, so that the right person mends it.",
        lambda story: story.probe_too_early(),
    ),
    Step(
        "Customer: Accept Endpoint Connection Request",
        "The second half of the consent. The customer can take it back at any time.",
        lambda story: story.customer.accept(),
    ),
    Step(
        "PrivateLink is running, its name resolves here only",
        "A wire joins the two networks: one service, one direction.",
        lambda story: story.wait_running(),
    ),
    Step(
        "New Resource: Test passes",
        "The database's address is the link. A wrong password fails at the hop `login`.",
        lambda story: story.make_resource(),
    ),
    Step(
        "Rule: SQL and a PostgreSQL action",
        "A rule picks messages and writes a row for each of them.",
        lambda story: story.make_rule(),
    ),
    Step(
        f"{MESSAGES:,} messages at QoS 1: the right rows are committed",
        "Devices publish; the rows that the rule chose stand in the customer's database.",
        lambda story: story.publish_and_count(),
    ),
)

#: As far as either side can see it through its own API.
PRIVACY: tuple[Step[Story], ...] = (
    Step(
        "Privacy: the deployment reaches the listener and nothing else",
        "Other ports of the endpoint, and the database's own address, do not answer the deployment.",
        lambda story: story.try_other_ports(),
    ),
    Step(
        "Privacy: the customer cannot connect back",
        "An instance in the customer's VPC tries every address of the subnets and the wires.",
        lambda story: story.scan_from_customer(),
    ),
)
STEPS = (*GUIDE, *PRIVACY)
