"""Databases other than PostgreSQL for tests, each real, in its own directory and on a free loopback port."""

from __future__ import annotations

import subprocess
from typing import Any

import pymysql

from servers import Server, accepts, as_ordinary_user


class MariaDB(Server):
    """A MariaDB with the database `app` and its owner `app`, who has a password."""

    user = "app"
    password = "app-secret"
    database = "app"
    options: tuple[str, ...] = ()

    def command(self) -> list[str]:
        data = self.directory / "data"
        return [
            *("/usr/sbin/mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={self.directory}/socket"),
            *(f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={self.directory}/pid"),
            *("--skip-log-bin", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=64M", *self.options),
        ]

    def prepare(self) -> None:
        install = ["/usr/bin/mariadb-install-db", "--no-defaults", f"--datadir={self.directory}/data"]
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
