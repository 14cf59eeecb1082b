"""Real servers that take messages, for tests and benchmarks: RabbitMQ, NATS, one that speaks Kafka, AWS's emulator.

    with RabbitMQ() as rabbit, Moto() as aws:
        rabbit.port, aws.endpoint

They behave as the servers of `servers` do: own directory, own loopback ports, `kill`, `start`, gone at the block's end.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.request
from typing import Any

import boto3

from certificates import Authority
from programs import program
from servers import Server, accepts, as_ordinary_user, free_port, wait_until

REGION, KEY_ID, SECRET_KEY = "us-east-1", "AKIATEST", "test-secret"
SERVER_NAME = "broker.customer.example"  # in the certificates of those that speak TLS


class RabbitMQ(Server):
    """A node with the user `app` on the virtual host `/`, and a port for TLS that wants a client certificate.

    Erlang's name server would be one for the whole machine: this one has its own, in the same process group.
    """

    user = "app"
    password = "app-secret"
    programs = ("rabbitmq-server", "epmd")
    start_seconds = 60.0  # four on an idle machine

    def __init__(self, authority: Authority | None = None) -> None:
        super().__init__()
        self.authority = authority
        self._choose_ports()
        self._starts = 0  # that went well

    def _choose_ports(self) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self._names, self._distribution = free_port(), free_port()

    def start(self) -> None:
        """It listens after seconds: a port that somebody else has by then is exchanged, before clients know."""
        try:
            super().start()
        except RuntimeError:
            if self._starts:
                raise
            self.kill()
            shutil.rmtree(self.directory / "data", ignore_errors=True)
            (self.directory / "log").unlink()
            self._choose_ports()
            self.prepare()
            super().start()
        self._starts += 1

    def ready(self) -> bool:
        """By its own word: who accepts connections on its port may be somebody else, and it runs on without it."""
        log = self.log()
        if "Failed to start Ranch listener" in log:
            raise RuntimeError(f"RabbitMQ has not got a port:\n{log}")
        return log.count("Server startup complete") > self._starts

    def command(self) -> list[str]:
        environment = {
            "HOME": self.directory,
            "ERL_EPMD_PORT": self._names,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_MAX_PORTS": "4096",  # else Erlang makes room for as many files as the system allows
            "RABBITMQ_NODENAME": f"r{self.port}@localhost",
            "RABBITMQ_DIST_PORT": self._distribution,
            "RABBITMQ_CONFIG_FILE": self.directory / "rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.directory / "plugins",
            "RABBITMQ_MNESIA_BASE": self.directory / "data",
            "RABBITMQ_LOG_BASE": self.directory,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +A 16",
        }
        pairs = [f"{name}={value}" for name, value in environment.items()]
        names = f"{program('epmd')} -address 127.0.0.1 -port {self._names}"
        return ["env", *pairs, "sh", "-c", f"{names} & exec {program('rabbitmq-server')}"]

    def prepare(self) -> None:
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"default_user = {self.user}",
            f"default_pass = {self.password}",
            "loopback_users = none",
        ]
        if self.authority is not None:
            pair = self.authority.sign(SERVER_NAME)
            lines += [
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {self.write('ca.pem', self.authority.cert)}",
                f"ssl_options.certfile = {self.write('cert.pem', pair.cert)}",
                f"ssl_options.keyfile = {self.write('key.pem', pair.key)}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = true",
            ]
        self.write("rabbitmq.conf", "\n".join(lines) + "\n")
        self.write("plugins", "[].\n")

    def control(self, *words: str) -> None:
        """Run a command of rabbitmqctl."""
        names = [f"HOME={self.directory}", f"ERL_EPMD_PORT={self._names}", f"RABBITMQ_LOG_BASE={self.directory}"]
        command = ["env", *names, program("rabbitmqctl"), "-n", f"r{self.port}@localhost", *words]
        subprocess.run(as_ordinary_user(command), check=True, capture_output=True)

    def kill(self) -> None:
        super().kill()  # returns when its first process has ended
        wait_until(lambda: not accepts(self.port), "RabbitMQ's end")


class Nats(Server):
    """A server with JetStream on its own disk and the user `app`; with an authority it wants a client certificate."""

    programs = ("nats-server",)
    user = "app"
    password = "app-secret"

    def __init__(self, authority: Authority | None = None) -> None:
        super().__init__()
        self.authority = authority

    def command(self) -> list[str]:
        return [program("nats-server"), "-c", str(self.directory / "nats.conf")]

    def prepare(self) -> None:
        lines = [
            f"listen: 127.0.0.1:{self.port}",
            f'jetstream: {{store_dir: "{self.directory}/data"}}',
            f'authorization: {{user: "{self.user}", password: "{self.password}"}}',
        ]
        if self.authority is not None:
            pair = self.authority.sign(SERVER_NAME)
            files = {"ca_file": self.authority.cert, "cert_file": pair.cert, "key_file": pair.key}
            texts = [f'{name}: "{self.write(name, text)}"' for name, text in files.items()]
            lines.append(f"tls: {{{', '.join(texts)}, verify: true}}")
        self.write("nats.conf", "\n".join(lines) + "\n")


class Moto(Server):
    """What AWS hosts, emulated in the memory of one process: gone when it is killed. It takes any credentials."""

    ordinary = False  # the interpreter may be where only we can read

    def command(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    @property
    def endpoint(self) -> str:
        """The URL of every service."""
        return f"http://127.0.0.1:{self.port}"

    def authenticate(self) -> None:
        """From now on take only keys of its own users, for what they may do."""
        url, headers = f"{self.endpoint}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        with urllib.request.urlopen(urllib.request.Request(url, b"0", headers)):
            pass

    def client(self, service: str) -> Any:
        """A client as a user would make it."""
        session = boto3.Session(KEY_ID, SECRET_KEY, region_name=REGION)
        return session.client(service, endpoint_url=self.endpoint)  # type: ignore[call-overload]


class Kafka(Server):
    """Tansu, which speaks Kafka's protocol, in the memory of its process, or on S3 where `aws` gives one.

    It creates a topic that somebody asks for, as Kafka does unless told otherwise. It has no TLS and no users, but
    refuses whoever is not known with the option `--authentication`. `front` is the port that clients are sent to.
    """

    programs = ("tansu",)

    def __init__(self, aws: Moto | None = None, *extra: str, front: int = 0) -> None:
        super().__init__()
        self.aws = aws
        self.extra = extra
        self.front = front or self.port

    def command(self) -> list[str]:
        urls = f"--listener-url=tcp://127.0.0.1:{self.port}", f"--advertised-listener-url=tcp://127.0.0.1:{self.front}"
        storage = f"--storage-engine={'s3' if self.aws else 'memory'}://tansu/"
        environment = {
            "AWS_ENDPOINT": self.aws.endpoint if self.aws else "",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        pairs = [f"{name}={value}" for name, value in environment.items()]
        return ["env", *pairs, program("tansu"), "broker", *urls, storage, *self.extra]

    def prepare(self) -> None:
        if self.aws is not None:
            self.aws.client("s3").create_bucket(Bucket="tansu")


class Front(Server):
    """Passes connections on to another port: a way that can be cut. With an authority it takes TLS from clients that
    have a certificate of it.
    """

    programs = ("socat",)

    def __init__(self, target: int = 0, authority: Authority | None = None, name: str = SERVER_NAME) -> None:
        super().__init__()
        self.target = target
        self.name = name  # in its certificate
        self.authority = authority

    def command(self) -> list[str]:
        listen = [f"TCP-LISTEN:{self.port}", "bind=127.0.0.1", "reuseaddr", "fork"]
        if self.authority is not None:
            files = [f"{option}={self.directory}/{option}" for option in ("cert", "key", "cafile")]
            listen = [f"OPENSSL-LISTEN:{self.port}", *listen[1:], "verify=1", *files]
        return [program("socat"), ",".join(listen), f"TCP:127.0.0.1:{self.target}"]

    def prepare(self) -> None:
        if self.authority is not None:
            pair = self.authority.sign(self.name)
            for name, text in (("cert", pair.cert), ("key", pair.key), ("cafile", self.authority.cert)):
                self.write(name, text)
