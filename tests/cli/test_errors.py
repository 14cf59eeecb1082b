"""Whatever a person types wrongly: no traceback, a status that scripts see, and words that help."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from cli.test_nouns import ok, tieline
from platforms import PlatformProcess
from servers import free_port
from tieline.cloud.guard.records import ApiKey
from tieline.cloud.store.repository import Repository
from tieline.store import SQLiteStore

NOWHERE, DIRECTORY = "/nowhere/at-all", "/tmp"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    directory = tmp_path_factory.mktemp("platform") / "cloud"
    with PlatformProcess(directory, options=["--tls", f"127.0.0.1:{free_port()}"]) as running:
        mqtt = {"host": "127.0.0.1", "port": free_port()}
        running.client.create_deployment(name="plant", provider="external", mqtt=mqtt)
        yield running


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file that is no text."""
    path = tmp_path_factory.mktemp("files") / "noise"
    path.write_bytes(b"\xff\xfe\x00" * 9)
    return str(path)


def told(state: Path | None, *arguments: str, **environment: str) -> str:
    """What a command says that has to fail."""
    done = tieline(state, *arguments, **environment)
    said = done.stdout + done.stderr
    assert done.returncode in (1, 2), said
    assert "Traceback" not in said
    assert "error: " in said or "Error" in said
    return " ".join(said.split())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("deploymnt list", "Did you mean 'deployment'"),
        ("deployment show nope", "hint: list what there is"),
        ("deployment create bad*name", "letters, digits, - and _ are allowed"),
        ("deployment create plant --external", "exists already hint: choose another name"),
        ("deployment create x --external --mqtt nowhere", "for example 127.0.0.1:1883"),
        ("deployment create x --external --mqtt a|b:1883", "expected host:port, an IPv6 address in brackets"),
        ("deployment create x --external --mqtt ::1:1883", "expected host:port, an IPv6 address in brackets"),
        ("deployment create x --external --broker mqtts://h --broker-authority NOWHERE", "check --broker-authority"),
        ("deployment create x --external --broker mqtts://h --broker-authority BINARY", "is no text"),
        ("deployment change plant", "nothing is to be changed"),
        ("deployment change plant --chain BINARY", "give --chain and --key together"),
        ("deployment change plant --chain BINARY --key BINARY", "is no text (UTF-8)"),
        ("deployment change plant --chain NOWHERE --key NOWHERE", "check --chain"),
        ("deployment change plant --chain DIRECTORY --key NOWHERE", "Is a directory hint: check --chain"),
        ("resource create db --server 10.9.9.9:1 --type nosuch", "types: postgresql"),
        ("resource create db --server link:nope:5432", "has no private link 'nope'"),
        ("rule create r --sql SELEKT", "line 1, column 1"),
        (
            """rule create r --sql SELECT|*|FROM|"a" --action {"kind":"nosuch"}""",
            "no kind of action 'nosuch' hint: kinds: sql,",
        ),
        ("""rule create r --sql SELECT|*|FROM|"a" --action {""", "--action is no JSON"),
        ("letter discard nope", "agent is not connected hint: start it"),
        ("user create ada", "set TIELINE_PASSWORD"),
        ("mqtt-user create p", "set TIELINE_PASSWORD"),
        ("apply", "name one with --file"),
        ("apply -f NOWHERE", "check --file"),
        ("apply -f BINARY", "is no text"),
        ("service list --profile customer --endpoint-url banana", "'banana' is no URL"),
        ("service list --profile customer --credentials BINARY --endpoint-url http://127.0.0.1:9", "--credentials"),
        ("agent --join x --platform http://127.0.0.1:9 --state BINARY", "no directory can be made"),
        ("down --state BINARY", "is this the right --state?"),
        ("up --state BINARY", "give another --state"),
        ("up --state /proc/none", "give another --state"),
        ("up --state TEMPORARY --console-port 99999", "less than or equal to 65535"),
        ("up --state TEMPORARY --console-port 8099 --aws-port 8099", "give different ones"),
        ("up --state TEMPORARY --region a|b", "for example --region us-east-1"),
        ("up --state TEMPORARY --tls banana", "for example --tls 0.0.0.0:8443"),
        ("up --state TEMPORARY --tls 0.0.0.0:99999", "port '99999' is not a number from 1 to 65535"),
        ("up --state TEMPORARY --tls-name a.example.com", "give --tls HOST:PORT, too"),
    ],
)
def test_every_mistake_is_told(platform: PlatformProcess, binary: str, tmp_path: Path, line: str, words: str) -> None:
    known = {"BINARY": binary, "NOWHERE": NOWHERE, "DIRECTORY": DIRECTORY, "TEMPORARY": str(tmp_path / "state")}
    arguments = [known.get(word, word).replace("|", " ") for word in line.split()]
    assert words in told(platform.state, *arguments)


def _take(listening: socket.socket) -> None:
    """Take one request, and hang up instead of answering."""
    with suppress(OSError), listening.accept()[0] as taken:
        taken.recv(100)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:abc", "is no URL"),
        ("127.0.0.1:8080", "is no URL of a platform"),
        ("http://127.0.0.1:9", "is it running?"),
        ("http://no-such-host.invalid", "hint: "),
        ("https://HERE", "no TLS is spoken there"),
        ("https://TLS", "set SSL_CERT_FILE"),
        ("http://AWAY", "look whether it was done"),
    ],
)
def test_a_platform_that_cannot_be_reached(platform: PlatformProcess, url: str, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung_up:
        away = f"127.0.0.1:{hung_up.getsockname()[1]}"
        Thread(target=_take, args=(hung_up,), daemon=True).start()
        here, secure = platform.url.removeprefix("http://"), platform.options[1]
        where = url.replace("HERE", here).replace("TLS", secure).replace("AWAY", away)
        assert words in told(None, "deployment", "list", "--url", where, "--api-key", platform.key)


def test_a_platform_with_a_certificate_of_its_own_is_reached(platform: PlatformProcess) -> None:
    arguments = ["deployment", "list", "--url", f"https://{platform.options[1]}", "--api-key", platform.key]
    done = tieline(None, *arguments, SSL_CERT_FILE=str(platform.state / "tls-authority.pem"))
    assert (done.returncode, "plant" in done.stdout) == (0, True), done.stderr


def test_keys_that_open_nothing(platform: PlatformProcess) -> None:
    here = ("deployment", "list", "--url", platform.url)
    assert "give --state DIR" in told(None, *here)
    assert "not known here, or has expired" in told(None, *here, "--api-key", "tlk_wrong")
    assert "copy it again" in told(None, *here, "--api-key", "tlk_wröng")
    made = ok(platform.state, "key", "create", "brief", "--days", "1", "--json")
    token = made.split('"key": "')[1].split('"')[0]
    ok(platform.state, *here, "--api-key", token)
    platform.stop()
    records = Repository(SQLiteStore(platform.state / "cloud.db"))
    (key,) = records.all(ApiKey, lambda one: one.name == "brief")
    past = (datetime.now(UTC) - timedelta(days=2)).isoformat().replace("+00:00", "Z")
    records.commit(write=[key.model_copy(update={"expires": past})])
    records.close()
    platform.start()
    assert "has expired" in told(platform.state, *here, "--api-key", token)


def test_where_tieline_up_was_started_nothing_needs_to_be_named(
    platform: PlatformProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").symlink_to(platform.state)
    monkeypatch.chdir(tmp_path)
    done = tieline(None, "deployment", "list")
    assert (done.returncode, "plant" in done.stdout) == (0, True), done.stderr


def test_a_fault_of_our_own_says_so(platform: PlatformProcess, tmp_path: Path) -> None:
    """A package that breaks stands for it: the traceback is there for whoever asks."""
    (tmp_path / "sitecustomize.py").write_text(
        "import tieline.client.rest as client\ndef broken(*_):\n    raise RuntimeError('no such luck')\n"
        "client.Client.deployments = broken\n"
    )
    broken = {"PYTHONPATH": str(tmp_path)}
    assert "RuntimeError: no such luck" in (said := told(platform.state, "deployment", "list", **broken))
    assert "a fault of tieline's own" in said
    shown = tieline(platform.state, "deployment", "list", **broken, TIELINE_TRACEBACK="1")
    assert shown.returncode == 1 and "Traceback" in shown.stderr
