"""A typed client of the REST interface: values in, values out, and one exception for everything that goes wrong."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx
from pydantic import BaseModel

from tieline.client.errors import ClientError, check, refused, unreachable
from tieline.client.paths import at
from tieline.cloud.alerts.webhooks import Webhooks, WebhookView
from tieline.cloud.doctor.health import LinkHealth
from tieline.cloud.doctor.hops import Diagnosis
from tieline.cloud.guard.records import ApiKeyView, UserView
from tieline.cloud.model.pages import Paged
from tieline.cloud.model.records import MqttUserView, PrivateLinkView
from tieline.cloud.schemas.answers import (
    ApiKeys,
    AuditPage,
    AwsAccess,
    CreatedApiKey,
    CreatedDeployment,
    DeploymentAnswer,
    Deployments,
    JoinToken,
    MqttUsers,
    Offer,
    PrivateLinks,
    ResourceAnswer,
    Resources,
    RuleAnswer,
    RuleResult,
    Rules,
    Users,
)
from tieline.cloud.store.retention import RetentionView

__all__ = ["Client", "ClientError", "at"]

M = TypeVar("M", bound=BaseModel)
P = TypeVar("P", bound=Paged)

TIMEOUT = httpx.Timeout(30, connect=3)  # a Test may take 18 s

SOME = 1000  # letters that are named in one request


class Client:
    """The platform at a URL. Deployments and what is in them are named by id or name; every call raises ClientError."""

    def __init__(self, url: str, api_key: str) -> None:
        check(url, api_key)
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=TIMEOUT,
            trust_env=False,
            # Reading the system's authorities, or those of SSL_CERT_FILE, takes longer than a request.
            verify=ssl.create_default_context() if url.startswith("https://") else False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def deployments(self) -> list[DeploymentAnswer]:
        """All deployments."""
        return [item for page in self._pages(Deployments, at("deployments")) for item in page.deployments]

    def deployment(self, key: str) -> DeploymentAnswer:
        """One deployment."""
        return self._read(DeploymentAnswer, "GET", at("deployments", key))

    def create_deployment(self, **wanted: Any) -> CreatedDeployment:
        """Create a deployment: name, provider, cidr, zones, mqtt."""
        return self._read(CreatedDeployment, "POST", at("deployments"), wanted)

    def delete_deployment(self, key: str, cascade: bool = False) -> DeploymentAnswer:
        """Delete a deployment, with `cascade` all in it."""
        return self._read(DeploymentAnswer, "DELETE", at("deployments", key, cascade=cascade))

    def renew_join_token(self, key: str) -> str:
        """Another join token for a deployment's agents; the present one is good for nothing from now on."""
        return self._read(JoinToken, "POST", at("deployments", key, "join-token")).join_token

    def offer(self, key: str) -> Offer:
        """What the provider of a service must know."""
        return self._read(Offer, "GET", at("deployments", key, "private-link-offer"))

    def aws_access(self, project: str = "default") -> AwsAccess:
        """What the owner of an AWS account must know before a deployment of a project can be in it."""
        return self._read(AwsAccess, "GET", f"{at('aws', 'access')}?{httpx.QueryParams(project=project)}")

    def links(self, deployment: str = "") -> list[PrivateLinkView]:
        """The private links of a deployment, or of all."""
        within = ("deployments", deployment) if deployment else ()
        pages = self._pages(PrivateLinks, at(*within, "private-links"))
        return [item for page in pages for item in page.private_links]

    def link(self, deployment: str, key: str) -> PrivateLinkView:
        """One private link."""
        return self._read(PrivateLinkView, "GET", at("deployments", deployment, "private-links", key))

    def create_link(self, deployment: str, **wanted: Any) -> PrivateLinkView:
        """Create a private link: name, service_name, ports."""
        return self._read(PrivateLinkView, "POST", at("deployments", deployment, "private-links"), wanted)

    def delete_link(self, deployment: str, key: str, cascade: bool = False) -> PrivateLinkView:
        """Delete a private link, with `cascade` also the resources and rules that use it."""
        path = at("deployments", deployment, "private-links", key, cascade=cascade)
        return self._read(PrivateLinkView, "DELETE", path)

    def reconnect_link(self, deployment: str, key: str, **changed: Any) -> PrivateLinkView:
        """Start a failed link again; `changed`: service_name, ports."""
        path = at("deployments", deployment, "private-links", key, "reconnect")
        return self._read(PrivateLinkView, "POST", path, changed)

    def link_health(self, deployment: str, key: str) -> LinkHealth:
        """How a link is now: its state, its backends, and a probe from inside."""
        return self._read(LinkHealth, "GET", at("deployments", deployment, "private-links", key, "health"))

    def diagnose_link(self, deployment: str, key: str) -> Diagnosis:
        """Every hop of a link, with what the platform can find out."""
        return self._read(Diagnosis, "GET", at("deployments", deployment, "private-links", key, "doctor"))

    def resources(self, deployment: str) -> list[ResourceAnswer]:
        """The resources of a deployment."""
        pages = self._pages(Resources, at("deployments", deployment, "resources"))
        return [item for page in pages for item in page.resources]

    def all_resources(self) -> list[ResourceAnswer]:
        """The resources of all deployments."""
        return [item for page in self._pages(Resources, at("resources")) for item in page.resources]

    def resource(self, deployment: str, key: str) -> ResourceAnswer:
        """One resource."""
        return self._read(ResourceAnswer, "GET", at("deployments", deployment, "resources", key))

    def create_resource(self, deployment: str, **wanted: Any) -> ResourceAnswer:
        """Create a resource: name, type, server, password, options."""
        return self._read(ResourceAnswer, "POST", at("deployments", deployment, "resources"), wanted)

    def probe_resource(self, deployment: str, **wanted: Any) -> None:
        """`Test` a resource that need not exist; raises ClientError with `extra["hop"]` where it fails."""
        self._send("POST", at("deployments", deployment, "resources", "probe"), wanted)

    def probe_saved(self, deployment: str, key: str) -> None:
        """`Test` a resource that exists, with the statements of the rules that use it."""
        self._send("POST", at("deployments", deployment, "resources", key, "probe"))

    def delete_resource(self, deployment: str, key: str, cascade: bool = False) -> None:
        """Delete a resource that no rule uses, or with `cascade` these rules too."""
        self._send("DELETE", at("deployments", deployment, "resources", key, cascade=cascade))

    def rules(self, deployment: str) -> list[RuleAnswer]:
        """The rules of a deployment."""
        pages = self._pages(Rules, at("deployments", deployment, "rules"))
        return [item for page in pages for item in page.rules]

    def all_rules(self) -> list[RuleAnswer]:
        """The rules of all deployments."""
        return [item for page in self._pages(Rules, at("rules")) for item in page.rules]

    def rule(self, deployment: str, key: str) -> RuleAnswer:
        """One rule."""
        return self._read(RuleAnswer, "GET", at("deployments", deployment, "rules", key))

    def create_rule(self, deployment: str, **wanted: Any) -> RuleAnswer:
        """Create a rule: name, sql, actions."""
        return self._read(RuleAnswer, "POST", at("deployments", deployment, "rules"), wanted)

    def test_rule(self, deployment: str, **wanted: Any) -> Any:
        """What a rule makes of a sample message: sql, context."""
        return self._read(RuleResult, "POST", at("deployments", deployment, "rules", "test"), wanted).result

    def delete_rule(self, deployment: str, key: str) -> None:
        """Delete a rule."""
        self._send("DELETE", at("deployments", deployment, "rules", key))

    def change(self, type: type[M], *parts: str, changes: Mapping[str, Any], etag: str = "") -> M:
        """Change some fields of a record at a path; with its `etag` refused (412) where somebody else was faster."""
        headers = {"If-Match": etag} if etag else {}
        return type.model_validate_json(self._send("PATCH", at(*parts), changes, headers).content)

    def ask(self, type: type[M], method: str, *parts: str, body: Mapping[str, Any] | None = None, query: str = "") -> M:
        """The answer at a path, for what has no method of its own."""
        return self._read(type, method, at(*parts) + query, body)

    def discard_letters(self, deployment: str, ids: Sequence[str] | None = None) -> None:
        """Forget these dead letters, some at a time; all of the deployment's where `ids` is None."""
        if ids is None:
            self._send("POST", at("deployments", deployment, "dead-letters", "discard"), {})
            return
        for start in range(0, len(ids), SOME):
            part = list(ids[start : start + SOME])
            self._send("POST", at("deployments", deployment, "dead-letters", "discard"), {"ids": part})

    def users(self) -> list[UserView]:
        """The users that the caller may see."""
        return [item for page in self._pages(Users, at("users")) for item in page.users]

    def create_user(self, **wanted: Any) -> UserView:
        """Create a user: name, password, role, projects."""
        return self._read(UserView, "POST", at("users"), wanted)

    def delete_user(self, key: str) -> None:
        """Delete a user, and end the sessions."""
        self._send("DELETE", at("users", key))

    def keys(self) -> list[ApiKeyView]:
        """The API keys that the caller may see, without their text."""
        return [item for page in self._pages(ApiKeys, at("keys")) for item in page.keys]

    def create_key(self, **wanted: Any) -> CreatedApiKey:
        """Create an API key: name, role, projects, days."""
        return self._read(CreatedApiKey, "POST", at("keys"), wanted)

    def revoke_key(self, key: str) -> None:
        """Revoke an API key."""
        self._send("DELETE", at("keys", key))

    def audit(self, **asked: Any) -> AuditPage:
        """Changes, the newest first: limit, cursor, who, kind, record."""
        query = httpx.QueryParams({name: value for name, value in asked.items() if value})
        return self._read(AuditPage, "GET", f"{at('audit')}?{query}")

    def retention(self) -> RetentionView:
        """How long things are kept."""
        return self._read(RetentionView, "GET", at("retention"))

    def change_retention(self, etag: str = "", **changes: Any) -> RetentionView:
        """Keep things for another time: audit_days, history_entries, metrics_minutes, traffic_minutes."""
        return self.change(RetentionView, "retention", changes=changes, etag=etag)

    def alerts(self) -> list[WebhookView]:
        """The webhooks for the caller's projects."""
        return self._read(Webhooks, "GET", at("alerts")).alerts

    def create_alert(self, **wanted: Any) -> WebhookView:
        """Send alerts to a webhook: name, url, secret, projects."""
        return self._read(WebhookView, "POST", at("alerts"), wanted)

    def delete_alert(self, key: str) -> None:
        """Send no more alerts to a webhook."""
        self._send("DELETE", at("alerts", key))

    def switch(self, key: str, verb: Literal["start", "stop"]) -> DeploymentAnswer:
        """Start or stop a deployment."""
        return self._read(DeploymentAnswer, "POST", at("deployments", key, verb))

    def certificate(self, deployment: str) -> str:
        """The certificate (PEM) to verify the deployment's TLS listener with."""
        return self._send("GET", at("deployments", deployment, "certificate")).text

    def mqtt_users(self, deployment: str) -> list[MqttUserView]:
        """The MQTT users of a deployment, without their passwords."""
        pages = self._pages(MqttUsers, at("deployments", deployment, "mqtt-users"))
        return [item for page in pages for item in page.mqtt_users]

    def create_mqtt_user(self, deployment: str, **wanted: Any) -> MqttUserView:
        """Create an MQTT user: name, password, rules."""
        return self._read(MqttUserView, "POST", at("deployments", deployment, "mqtt-users"), wanted)

    def delete_mqtt_user(self, deployment: str, key: str) -> None:
        """Delete an MQTT user by id or name."""
        self._send("DELETE", at("deployments", deployment, "mqtt-users", key))

    def _pages(self, type: type[P], path: str) -> Iterator[P]:
        page = self._read(type, "GET", path)
        yield page
        while page.next_cursor:
            page = self._read(type, "GET", f"{path}?{httpx.QueryParams(cursor=page.next_cursor)}")
            yield page

    def _read(self, type: type[M], method: str, path: str, body: Mapping[str, Any] | None = None) -> M:
        return type.model_validate_json(self._send(method, path, body).content)

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            message = f"the platform at {self._http.base_url} does not answer: {error}"
            raise ClientError("UNREACHABLE", message, unreachable(error)) from error
        if answer.is_success:
            return answer
        raise refused(answer)
