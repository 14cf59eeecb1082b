"""Every text in a call of every AWS operation, in every hostile spelling, sent by who owns what is named.

The calls are those of `test_accounts_apart`, which fails where an operation has none: so this grows with the wire.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.serialize import create_serializer

from fabric.aws.operations.scene import SERVED, Scene, model
from fabric.aws.operations.test_accounts_apart import FOREIGN
from security.spellings import HOSTILE, leaves, near, replaced
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.protocol.form import grow
from tieline.fabric.aws.protocol.model import services

#: Texts that people may choose: kept as they are, or refused by AWS's own rules.
FREE = {
    "Value",
    "Key",
    "TagKeys",
    "Description",
    "GroupName",
    "Name",
    "RoleSessionName",
    "ImageId",
    "AddAllowedPrincipals",
}


DESCRIBE_TAGS = ("ec2", "DescribeTags")  # takes no id; the table's entry is ELBv2's
TRIED = [key for key in SERVED if key[1] in FOREIGN and key != DESCRIBE_TAGS]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """One scene, and another whenever a call has changed it."""
    return [Scene()]


@pytest.mark.parametrize(("service", "operation"), TRIED)
def test_a_hostile_value_is_refused_and_changes_nothing(scenes: list[Scene], service: str, operation: str) -> None:
    for template in FOREIGN[operation]:
        for path, _ in leaves(template):
            original = dict(leaves(call(scenes[0], template)))[path]
            for text in (*HOSTILE, *(near(original) if "{" in str(dict(leaves(template))[path]) else ())):
                if text != original:
                    attempt(scenes, service, operation, template, path, text)


def call(scene: Scene, template: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(template)
    for kind, id in scene.ids.items():
        text = text.replace(f"{{{kind}}}", id)
    filled: dict[str, Any] = json.loads(text)
    return filled


def as_it_arrives(service: Any, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters after botocore has written them and the wire has read them."""
    protocol = "ec2" if service == "ec2" else "query"
    form = create_serializer(protocol, False).serialize_to_request(parameters, model(service, operation))["body"]
    tree = grow({name: str(value) for name, value in form.items() if name not in ("Action", "Version")})
    return services()[service].operation(operation).parse(tree)


def attempt(
    scenes: list[Scene], service: str, operation: str, template: dict[str, Any], path: tuple[Any, ...], text: str
) -> None:
    scene = scenes[0]
    before = scene.fabric.dump()
    try:
        if (text, path[-1]) == ("-1", "IpProtocol"):
            return  # all protocols, in AWS's words
        parameters = as_it_arrives(service, operation, replaced(call(scene, template), path, text))
        answer = scene.fabric.customer(service, operation, **parameters)
    except AwsError as refusal:
        assert 400 <= refusal.status < 500, (refusal, text[:60])
        assert scene.fabric.dump() == before, (path, text[:60])
        return
    if scene.fabric.dump() == before:
        return  # nothing was found, or what is not there was not removed
    member = next(part for part in reversed(path) if isinstance(part, str))
    assert member in FREE or "Unsuccessful" in answer, (path, text[:60], answer)
    scenes[0] = Scene()
