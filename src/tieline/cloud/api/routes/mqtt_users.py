"""REST: the MQTT users of a deployment's broker, and what they may publish and subscribe to."""

from __future__ import annotations

from fastapi import APIRouter, Response

from tieline.cloud.api.common.context import Asked, IfMatch, Key, Records, There, Within, item, tagged
from tieline.cloud.api.common.errors import documented
from tieline.cloud.api.common.once import Once
from tieline.cloud.deployments.mqtt_users import (
    MqttUserChange,
    NewMqttUser,
    change_mqtt_user,
    create_mqtt_user,
    users_of,
)
from tieline.cloud.deployments.service import not_ours
from tieline.cloud.model.pages import cut
from tieline.cloud.model.records import MqttUser, MqttUserView
from tieline.cloud.schemas.answers import MqttUsers
from tieline.cloud.store.edits import check_match

router = APIRouter(
    prefix="/deployments/{id}/mqtt-users", tags=["mqtt users"], route_class=Once, responses=documented(404)
)


@router.get("", name="list")
async def list_users(there: There, within: Within, asked: Asked) -> MqttUsers:
    """The MQTT users of a deployment, in order of id; never their passwords."""
    chosen, cursor = cut(users_of(there.records, within), asked)
    return MqttUsers(mqtt_users=[_view(user) for user in chosen], next_cursor=cursor)


@router.post("", status_code=201, responses=documented(409))
async def create(
    there: There, records: Records, within: Within, wanted: NewMqttUser, response: Response
) -> MqttUserView:
    """Create an MQTT user."""
    if within.remote is not None:
        raise not_ours(within.name)
    user = create_mqtt_user(records, there.vault, within, wanted)
    there.changed(within.id)
    tagged(response, user)
    return _view(user)


@router.get("/{user}")
async def get(there: There, within: Within, user: Key, response: Response) -> MqttUserView:
    """One MQTT user by id or name."""
    found = item(there, MqttUser, within, user, "MQTT user")
    tagged(response, found)
    return _view(found)


@router.patch("/{user}", responses=documented(412))
async def change(
    there: There,
    records: Records,
    within: Within,
    user: Key,
    wanted: MqttUserChange,
    response: Response,
    if_match: IfMatch = None,
) -> MqttUserView:
    """Change an MQTT user's password or rules; the broker ends the connections, which then come under the new ones."""
    found = item(there, MqttUser, within, user, "MQTT user")
    check_match(found, if_match)
    changed = change_mqtt_user(records, there.vault, found, wanted)
    there.changed(within.id)
    tagged(response, changed)
    return _view(changed)


@router.delete("/{user}", status_code=204)
async def delete(there: There, records: Records, within: Within, user: Key) -> None:
    """Delete an MQTT user; the broker ends the connections."""
    records.commit(delete=[item(there, MqttUser, within, user, "MQTT user")])
    there.changed(within.id)


def _view(user: MqttUser) -> MqttUserView:
    return MqttUserView.model_validate(user.model_dump(exclude={"password"}))
