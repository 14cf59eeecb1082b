"""Databases other than PostgreSQL for tests, each real, in its own directory and on a free loopback port."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pymysql
import redis

from programs import program
from servers import PostgreSQL, Server, accepts, as_ordinary_user, free_port, wait_until


class MariaDB(Server):
    """A MariaDB with the database `app` and its owner `app`, who has a password."""

    programs = ("mariadbd", "mariadb-install-db")
    user = "app"
    password = "app-secret"
    database = "app"
    options: tuple[str, ...] = ()

    def command(self) -> list[str]:
        data = self.directory / "data"
        return [
            *(program("mariadbd"), "--no-defaults", f"--datadir={data}", f"--socket={self.directory}/socket"),
            *(f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={self.directory}/pid"),
            *("--skip-log-bin", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=64M", *self.options),
        ]

    def prepare(self) -> None:
        install = [program("mariadb-install-db"), "--no-defaults", f"--datadir={self.directory}/data"]
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        subprocess.run(as_ordinary_user([*install, *options]), check=True, capture_output=True)

    def ready(self) -> bool:
        if not accepts(self.port):
            return False
        try:
            with self._as_root() as connection, connection.cursor() as cursor:
                cursor.execute("select 1")
        except pymysql.OperationalError:
            return False
        return True

    def __enter__(self) -> MariaDB:
        super().__enter__()
        with self._as_root() as connection, connection.cursor() as cursor:
            cursor.execute(f"create database {self.database} character set utf8mb4")
            cursor.execute(f"create user {self.user}@'%' identified by '{self.password}'")
            cursor.execute(f"grant all on {self.database}.* to {self.user}@'%'")
        return self

    def _as_root(self) -> pymysql.Connection[Any]:
        return pymysql.connect(unix_socket=f"{self.directory}/socket", user="root", autocommit=True)

    @property
    def server(self) -> str:
        """`host:port`, as a resource names it."""
        return f"127.0.0.1:{self.port}"

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement as root and return its rows."""
        with self._as_root() as connection, connection.cursor() as cursor:
            cursor.execute(f"use {self.database}")
            cursor.execute(statement)
            return list(cursor.fetchall())


class Redis(Server):
    """A Redis with the user `app`, who has a password, and the default user, who has the same."""

    programs = ("redis-server",)
    user = "app"
    password = "app-secret"
    options: tuple[str, ...] = ()

    def command(self) -> list[str]:
        return [program("redis-server"), str(self.directory / "redis.conf"), *self.options]

    def lines(self) -> list[str]:
        """The configuration."""
        return [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.directory}",
            "appendonly yes",
            "appendfsync no",
            f"requirepass {self.password}",
            f"masterauth {self.password}",
            f"user {self.user} on >{self.password} ~* &* +@all",
        ]

    def prepare(self) -> None:
        self.write("redis.conf", "\n".join(self.lines()) + "\n")

    def ready(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self) -> redis.Redis:
        return redis.Redis("127.0.0.1", self.port, password=self.password, decode_responses=True)

    def execute(self, *command: str) -> Any:
        """Run one command and return its answer."""
        with self.client() as client:
            return client.execute_command(*command)

    @property
    def server(self) -> str:
        """`host:port`, as a resource names it."""
        return f"127.0.0.1:{self.port}"


class Sentinel(Redis):
    """A sentinel that watches a master under the name `orders`."""

    def __init__(self, master: Redis) -> None:
        super().__init__()
        self.master = master

    def command(self) -> list[str]:
        return [*super().command(), "--sentinel"]

    def lines(self) -> list[str]:
        return [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.directory}",
            f"requirepass {self.password}",
            f"sentinel monitor orders 127.0.0.1 {self.master.port} 1",
            f"sentinel auth-pass orders {self.master.password}",
            "sentinel down-after-milliseconds orders 3000",
            "sentinel failover-timeout orders 3000",
        ]


class RedisNode(Redis):
    """A node of a cluster, which announces itself by an address of its own choice."""

    announced = "127.0.0.1"

    def lines(self) -> list[str]:
        more = ["cluster-enabled yes", "cluster-node-timeout 15000", f"cluster-announce-ip {self.announced}"]
        return [*super().lines(), *more]

    def __init__(self) -> None:
        super().__init__()
        while self.port > 55_535:  # the port of the cluster's bus is 10,000 above
            self.port = free_port()


@contextmanager
def redis_cluster() -> Iterator[list[RedisNode]]:
    """Three nodes that share the slots."""
    with RedisNode() as a, RedisNode() as b, RedisNode() as c:
        nodes = [a, b, c]
        for place, node in enumerate(nodes):
            first, last = 16384 * place // 3, 16384 * (place + 1) // 3 - 1
            node.execute("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            node.execute("CLUSTER", "MEET", "127.0.0.1", str(a.port))
        wait_until(lambda: all("cluster_state:ok" in str(n.execute("CLUSTER", "INFO")) for n in nodes), "the cluster")
        yield nodes


class InfluxDB(Server):
    """An InfluxDB of version 1 with authentication, the database `app`, its writer `app`, and `root`."""

    programs = ("influxd",)
    user = "app"
    password = "app-secret"
    database = "app"
    settings: tuple[str, ...] = ()  # of the section [http]

    def command(self) -> list[str]:
        return [program("influxd"), "-config", str(self.directory / "influxdb.conf")]

    def prepare(self) -> None:
        lines = [
            "reporting-disabled = true",
            f'bind-address = "127.0.0.1:{free_port()}"',
            *("[meta]", f'dir = "{self.directory}/meta"'),
            *("[data]", f'dir = "{self.directory}/data"', f'wal-dir = "{self.directory}/wal"'),
            *("[monitor]", "store-enabled = false"),
            *("[http]", f'bind-address = "127.0.0.1:{self.port}"', "auth-enabled = true", "log-enabled = false"),
            *self.settings,
        ]
        self.write("influxdb.conf", "\n".join(lines) + "\n")

    def __enter__(self) -> InfluxDB:
        super().__enter__()
        self.execute(f"create user root with password '{self.password}' with all privileges")
        self.execute(f"create database {self.database}")
        self.execute(f"create user {self.user} with password '{self.password}'")
        self.execute(f"grant write on {self.database} to {self.user}")
        return self

    def execute(self, query: str) -> list[dict[str, Any]]:
        """Run a statement as root and return the rows of its series."""
        asked = {"q": query, "db": self.database}
        scheme = "https" if "https-enabled = true" in self.settings else "http"
        where = f"{scheme}://127.0.0.1:{self.port}/query"
        answer = httpx.post(where, data=asked, auth=("root", self.password), verify=False)
        answer.raise_for_status()
        (result,) = answer.json()["results"]
        assert "error" not in result, result
        found = result.get("series", [])
        return [
            dict(zip(one["columns"], row, strict=True)) | one.get("tags", {}) for one in found for row in one["values"]
        ]

    @property
    def server(self) -> str:
        """`host:port`, as a resource names it."""
        return f"127.0.0.1:{self.port}"


class ClickHouse(Server):
    """A ClickHouse with the database `app`, its user `app`, and one who may only read; with `more` of configuration."""

    programs = ("clickhouse-server",)
    more = ""
    user = "app"
    password = "app-secret"
    database = "app"

    def command(self) -> list[str]:
        return [program("clickhouse-server"), f"--config-file={self.directory}/config.xml"]

    def prepare(self) -> None:
        self.write(
            "config.xml",
            f"""<yandex><logger><level>warning</level><console>1</console></logger>
            <http_port>{self.port}</http_port><tcp_port>{free_port()}</tcp_port><listen_host>127.0.0.1</listen_host>
            <path>{self.directory}/data/</path><tmp_path>{self.directory}/tmp/</tmp_path>
            <users_config>users.xml</users_config><default_profile>default</default_profile>
            <default_database>default</default_database><mark_cache_size>67108864</mark_cache_size>{self.more}</yandex>""",
        )
        users = "".join(
            f"""<{name}><password>{self.password}</password><networks><ip>::/0</ip></networks>
            <profile>{profile}</profile><quota>default</quota></{name}>"""
            for name, profile in (("app", "default"), ("reader", "readonly"))
        )
        self.write(
            "users.xml",
            f"""<yandex><profiles><default/><readonly><readonly>1</readonly></readonly></profiles>
            <users>{users}</users><quotas><default/></quotas></yandex>""",
        )

    def __enter__(self) -> ClickHouse:
        super().__enter__()
        self.execute(f"create database {self.database}", "default")
        return self

    def execute(self, query: str, database: str = "app") -> list[list[Any]]:
        """Run a statement and return its rows."""
        more = " format JSONCompact" if query.startswith("select") else ""
        who = {"user": self.user, "password": self.password, "database": database}
        answer = httpx.post(self.url, params=who, content=query + more)
        assert answer.status_code == 200, answer.text
        found: list[list[Any]] = answer.json()["data"] if more else []
        return found

    @property
    def url(self) -> str:
        """As a resource names it."""
        return f"http://127.0.0.1:{self.port}"


class PgBouncer(Server):
    """A pooler before a PostgreSQL's database, with fewer sessions than clients; `mode` is its pool_mode."""

    programs = ("pgbouncer",)

    def __init__(self, database: PostgreSQL, mode: str, sessions: int = 2) -> None:
        super().__init__()
        self.database, self.mode, self.sessions = database, mode, sessions

    def command(self) -> list[str]:
        return [program("pgbouncer"), str(self.directory / "pgbouncer.ini")]

    def prepare(self) -> None:
        database = self.database
        where = f"host=127.0.0.1 port={database.port} user={database.user} password={database.password}"
        users = self.write("users", f'"{database.user}" "{database.password}"\n')
        lines = [
            *("[databases]", f"{database.database} = {where}"),
            *("[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {self.port}", "unix_socket_dir ="),
            *("auth_type = plain", f"auth_file = {users}"),
            *(f"pool_mode = {self.mode}", f"default_pool_size = {self.sessions}"),
        ]
        self.write("pgbouncer.ini", "\n".join(lines) + "\n")

    @property
    def server(self) -> str:
        """`host:port`, as a resource names it."""
        return f"127.0.0.1:{self.port}"
