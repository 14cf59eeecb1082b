"""Access: the people who log in, the keys of programs, and the log of what anybody changed."""

from __future__ import annotations

from dataclasses import dataclass

from nicegui import ui
from starlette.requests import Request

from tieline.client.rest import Client, ClientError
from tieline.cloud.guard.passwords import SHORTEST
from tieline.cloud.guard.records import ApiKeyView, Grant, UserView
from tieline.cloud.guard.roles import Role
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, View, desk, frame, words
from tieline.console.pages.access.audit import Log

PATH, SECONDS = "/access", 1.0
TABS = {"users": "Users", "keys": "API keys", "audit": "Audit log"}
ROLES = {
    Role.ADMINISTRATOR.value: "administrator: everything",
    Role.OPERATOR.value: "operator: the daily work inside deployments",
    Role.AUDITOR.value: "auditor: reads everything, changes nothing",
}


@dataclass(frozen=True)
class People:
    """Who may do what; `problem` says why it could not be read."""

    users: tuple[UserView, ...] = ()
    keys: tuple[ApiKeyView, ...] = ()
    problem: str = ""


def read(client: Client) -> People:
    """The present state; never raises ClientError."""
    try:
        return People(tuple(client.users()), tuple(client.keys()))
    except ClientError as error:
        return People(problem=words(error))


@ui.page(PATH, response_timeout=15)
async def access(request: Request, tab: str = "users") -> None:
    """The page."""
    view = await desk(request)
    tab = tab if tab in TABS else "users"
    people = await view.beside("people", read, SECONDS)
    with frame("Access", PATH):
        parts.heading("Access", 1)
        parts.tabs([(title, f"{PATH}?tab={key}") for key, title in TABS.items()], f"{PATH}?tab={tab}", "Access")
        if tab == "audit":
            log = Log(view)
            await log.look()
            return
        people.live(lambda now: now.problem, lambda text: parts.problem(text) if text else None)
        if tab == "users":
            people.live(lambda now: now.users, lambda found: _users(view, people, found))
            _new_user(view, people)
            await _own(view)
        else:
            people.live(lambda now: now.keys, lambda found: _keys(view, people, found))
            _new_key(view, people)


def _grant(of: Grant) -> str:
    return "all projects" if "*" in of.projects else ", ".join(of.projects)


def _users(view: Desk, people: View[People], users: tuple[UserView, ...]) -> None:
    if not users:
        parts.say("Nobody logs in with a password yet; the first API key does everything until then.", "muted")
        return
    with parts.card(), parts.table(("Name", "Role", "For", "Since", ""), "Users"):
        for user in users:
            with parts.tag("tr"):
                parts.tag("td", text=user.name)
                with parts.tag("td"):
                    _role(view, people, user)
                parts.tag("td", text=_grant(user))
                parts.tag("td", "muted", parts.when(user.created))
                with parts.tag("td"):
                    _delete_user(view, people, user)


def _role(view: Desk, people: View[People], user: UserView) -> None:
    async def change(role: str) -> None:
        await view.act(lambda client: client.change(UserView, "users", user.id, changes={"role": role}))
        people.source.hurry()

    chosen = parts.choice(f"Role of {user.name}", [role.value for role in Role], user.role.value)
    chosen.on_value_change(lambda event: change(event.value))


def _delete_user(view: Desk, people: View[People], user: UserView) -> None:
    async def delete() -> None:
        text = "The sessions end at once. This cannot be undone."
        await view.remove("user", user.name, text, lambda client: client.delete_user(user.id))
        people.source.hurry()

    parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete user {user.name}"')


def _new_user(view: Desk, people: View[People]) -> None:
    with parts.card("New user"):
        with parts.tag("div", "grid"):
            name = parts.field("Name of the user")
            password = parts.secret(f"Password, {SHORTEST} characters at least")
            role = parts.choice("Role", ROLES, Role.OPERATOR.value)
            projects = parts.field("Projects, with commas (none: all of yours)")
        outcome = parts.stack()

        async def create() -> None:
            outcome.clear()
            wanted = {"name": name.value.strip(), "password": password.value, "role": role.value}
            wanted |= {"projects": listed(projects.value)}
            if await view.act(lambda client: client.create_user(**wanted), lambda error: _refused(outcome, error)):
                name.value = password.value = projects.value = ""
            people.source.hurry()

        with parts.row():
            parts.button("Create user", create)


async def _own(view: Desk) -> None:
    """A user changes the own password; whoever came with a key has none."""
    who = await view.act(lambda client: client.identity())
    if who is None or who.means != "user":
        return
    with parts.card(f"Your password, {who.name}"):
        with parts.tag("div", "grid"):
            old, new = parts.secret("The old password"), parts.secret("The new password")
        outcome = parts.stack()

        async def change() -> None:
            outcome.clear()
            done = await view.do(
                lambda client: client.change_password(old.value, new.value), lambda error: _refused(outcome, error)
            )
            if done:
                old.value = new.value = ""
                with outcome:
                    parts.say("Changed. Your other sessions have ended.", "good")

        with parts.row():
            parts.button("Change password", change, kind="other")


def _keys(view: Desk, people: View[People], keys: tuple[ApiKeyView, ...]) -> None:
    with parts.card(), parts.table(("Name", "Role", "For", "Since", "Until", ""), "API keys"):
        for key in keys:
            with parts.tag("tr"):
                parts.tag("td", text=key.name)
                parts.tag("td", text=key.role.value)
                parts.tag("td", text=_grant(key))
                parts.tag("td", "muted", parts.when(key.created))
                parts.tag("td", "muted", parts.when(key.expires) if key.expires else "revoked")
                with parts.tag("td"):
                    _revoke(view, people, key)


def _revoke(view: Desk, people: View[People], key: ApiKeyView) -> None:
    async def revoke() -> None:
        text = "From now on it opens nothing, and whatever program uses it stops working. This cannot be undone."
        await view.remove("API key", key.name, text, lambda client: client.revoke_key(key.id))
        people.source.hurry()

    parts.button("Revoke", revoke, kind="danger").props(f'aria-label="Revoke API key {key.name}"')


def _new_key(view: Desk, people: View[People]) -> None:
    with parts.card("New API key"):
        with parts.tag("div", "grid"):
            name = parts.field("Name of the key")
            role = parts.choice("Role", ROLES, Role.OPERATOR.value)
            projects = parts.field("Projects, with commas (none: all of yours)")
            days = parts.number("Days until it expires (empty: never)", 90)
        outcome = parts.stack().props("aria-live=polite")

        async def create() -> None:
            outcome.clear()
            wanted = {"name": name.value.strip(), "role": role.value, "projects": listed(projects.value)}
            wanted |= {"days": int(days.value)} if days.value else {}
            made = await view.act(lambda client: client.create_key(**wanted), lambda error: _refused(outcome, error))
            people.source.hurry()
            if made is not None:
                name.value = ""
                with outcome:
                    parts.say(f"The key {made.name}, shown only now:", "good")
                    parts.copied(made.key, f"the key {made.name}", block=True)

        with parts.row():
            parts.button("Create API key", create)


def listed(text: str | None) -> list[str]:
    """What stands between commas."""
    return [one.strip() for one in (text or "").split(",") if one.strip()]


def _refused(outcome: ui.element, error: ClientError) -> None:
    outcome.clear()
    with outcome:
        parts.problem(words(error))
