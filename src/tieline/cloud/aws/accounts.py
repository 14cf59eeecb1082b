"""The AWS accounts that deployments are in: the platform's own, and those that deployments of the provider aws name."""

from __future__ import annotations

import configparser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tieline.cloud.aws.client import Aws
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.providers import AwsAccount, DeploymentAccount


class Accounts:
    """Finds the hands on AWS of a deployment; made once for each account, and shared."""

    def __init__(self, own: Aws, profiles: Sequence[str] = ()) -> None:
        self.own = own
        self.profiles = profiles
        self._made: dict[tuple[str, ...], Aws] = {}

    def of(self, account: DeploymentAccount | None) -> Aws:
        """The account's Aws; no account is the platform's own."""
        if account is None or not (account.profile or account.role or account.region):
            return self.own
        key = (account.profile, account.role, account.region, account.external_id)
        if key not in self._made:
            self._made[key] = self._make(account)
        return self._made[key]

    def check(self, account: AwsAccount) -> None:
        """Raises PlatformError 403 for a profile that deployments may not name."""
        if account.profile and account.profile not in self.profiles:
            told = f"allowed are {', '.join(self.profiles)}" if self.profiles else "none is allowed"
            message = f"deployments may not use the AWS profile {account.profile!r}: {told}"
            hint = "the platform's operator starts it with --aws-profile NAME; or name a role that it may assume"
            raise PlatformError(403, "FORBIDDEN_PROFILE", message, hint)

    def close(self) -> None:
        """Give every connection back."""
        for aws in (self.own, *self._made.values()):
            aws.close()

    def _make(self, account: DeploymentAccount) -> Aws:
        """A profile of the platform's credentials file is where the platform is; others bring their own endpoint."""
        found = self.own.settings
        if account.profile and not _listed(found.credentials, account.profile):
            found = replace(found, credentials=None, endpoint=None)
        return Aws(
            replace(
                found,
                profile=account.profile or found.profile,
                region=account.region or found.region,
                role=account.role or None,
                external_id=account.external_id,
            )
        )


def _listed(file: Path | None, profile: str) -> bool:
    """Whether a credentials file has a profile."""
    if file is None:
        return False
    sections = configparser.RawConfigParser()
    sections.read(file)
    return sections.has_section(profile)
