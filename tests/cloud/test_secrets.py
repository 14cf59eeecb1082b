"""Keys open one thing each, and files with secrets are for one pair of eyes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import InvalidToken

from tieline.base.secrets import Vault, hashed, matches, new_api_key, token_deployment, write_private


def test_the_vault_keeps_its_key(tmp_path: Path) -> None:
    first, second = Vault.open(tmp_path / "key"), Vault.open(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert second.decrypt(first.encrypt("secret")) == "secret"
    assert "secret" not in first.encrypt("secret")
    assert first.join_token("dep-1") == second.join_token("dep-1")
    with pytest.raises(InvalidToken):
        Vault.open(tmp_path / "other").decrypt(first.encrypt("secret"))


def test_nothing_stays_nothing(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "key")
    assert vault.encrypt("") == ""
    assert vault.decrypt("") == ""


def test_a_join_token_names_its_deployment(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "key")
    token = vault.join_token("dep-1")
    assert token_deployment(token) == "dep-1"
    assert matches(token, hashed(token))
    assert not matches(vault.join_token("dep-2"), hashed(token))
    for other in ("", "tlj", "tlj_", "tlk_dep-1_x", new_api_key()):
        assert token_deployment(other) == ""


def test_a_private_file_is_whole_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("open to all")
    path.chmod(0o644)
    write_private(path, "closed")
    assert path.read_text() == "closed"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
