"""Redis's sink against real servers: one, one that sentinels name, and a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import ConnectionError, RedisError

from certificates import Authority
from databases import Redis, RedisNode, Sentinel, redis_cluster
from integration.sinks.trying import CLOSED, failing, refused, write, writing
from integration.world.flow import unique
from servers import free_port, wait_until
from tieline.integration.config.shapes import Ssl
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.redis import servers as kind
from tieline.integration.sinks.redis.errors import translated
from tieline.integration.sinks.redis.sink import RedisCommand, words
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world

NAME = "cache.customer.example"


def resource(server: Redis, /, **changes: Any) -> kind.Redis:
    known: dict[str, Any] = {"id": "re", "servers": server.server, "username": server.user}
    known |= {"password": server.password, "connect_timeout": 2.0}
    return kind.Redis(**(known | changes))


def action(template: str | tuple[str, ...]) -> RedisCommand:
    return RedisCommand(id="a", resource="re", command_template=template)


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("HSET d:${id} temp ${temp}", ("HSET", "d:${id}", "temp", "${temp}")),
        ("SET k '${a} b' ''", ("SET", "k", "${a} b", "")),
        (("SET", "k", "a b"), ("SET", "k", "a b")),
    ],
)
def test_the_words_of_a_command(template: Any, found: tuple[str, ...]) -> None:
    assert words(template) == found


@pytest.mark.parametrize("template", ["", "  ", "SET k 'a", "${command} k", ("${a}",)])
def test_what_is_no_command(template: Any) -> None:
    with pytest.raises(TemplateError):
        words(template)


async def test_commands_are_run_with_their_values(redis: Redis) -> None:
    key = unique("k")
    outputs: list[dict[str, Any]] = [{"id": n, "t": n / 2, "all": {"n": [n]}, "no": None} for n in range(1500)]
    await write(resource(redis), action(f"HSET {key}:${{id}} t ${{t}} all ${{all}} none ${{no}}"), outputs)
    assert len(redis.execute("KEYS", f"{key}:*")) == 1500
    assert redis.execute("HGETALL", f"{key}:7") == {"t": "3.5", "all": '{"n":[7]}', "none": "undefined"}


async def test_a_payload_cannot_change_a_command(redis: Redis) -> None:
    key, hostile = unique("k"), ["1 EX 1", "a\r\n*1\r\n$8\r\nFLUSHALL\r\n", "'", "日本", "", "\0", "${b}"]
    await write(resource(redis), action(f"RPUSH {key} ${{a}}"), [{"a": text} for text in hostile])
    assert redis.execute("LRANGE", key, "0", "-1") == hostile


async def test_a_poison_row_is_named_and_the_others_are_told_as_written(redis: Redis) -> None:
    key = unique("k")
    redis.execute("SET", f"{key}:1", "text")
    found = await refused(resource(redis), action(f"INCR {key}:${{n}}"), [{"n": n} for n in range(4)])
    assert list(found.rows) == [1]
    assert "not an integer" in found.rows[1]
    assert sorted(found.written) == [0, 2, 3]
    assert redis.execute("GET", f"{key}:3") == "1"


async def test_a_server_without_memory_is_tried_again(redis: Redis) -> None:
    key = unique("k")
    async with writing(resource(redis), action(f"SET {key} ${{a}}")) as writer:
        redis.execute("CONFIG", "SET", "maxmemory", "1")
        try:
            with pytest.raises(Unavailable) as caught:
                await writer.write([{"a": 1}])
        finally:
            redis.execute("CONFIG", "SET", "maxmemory", "0")
        assert (caught.value.hop, "maxmemory" in caught.value.hint) == ("database", True)
        await writer.write([{"a": 1}])


async def test_a_server_that_dies_is_tried_again() -> None:
    with Redis() as server:
        async with writing(resource(server), action("RPUSH k ${a}")) as writer:
            await writer.write([{"a": 1}])
            server.kill()
            for _ in range(2):
                with pytest.raises(Unavailable) as caught:
                    await writer.write([{"a": 2}])
                assert caught.value.hop == "tcp"
            server.start()
            await writer.write([{"a": 2}])


@pytest.mark.parametrize(
    ("changes", "hop", "said"),
    [
        ({"servers": CLOSED}, "tcp", "refused"),
        ({"servers": "no-such-host.invalid"}, "name", "not known"),
        ({"password": "wrong"}, "login", "password"),
        ({"username": "stranger"}, "login", "password"),
        ({"username": "", "password": ""}, "login", "Authentication required"),
        ({"database": 99}, "database", "out of range"),
        ({"ssl": Ssl(enable=True)}, "tls", "TLS"),
        ({"redis_type": "cluster"}, "database", "cluster"),
    ],
)
async def test_each_hop_is_named(redis: Redis, changes: dict[str, Any], hop: str, said: str) -> None:
    failed = await failing(resource(redis, **changes))
    assert (failed.hop, said in failed.message) == (hop, True), (failed, failed.cause)


async def test_commands_are_checked_and_not_run(redis: Redis) -> None:
    key = unique("k")
    await probe(resource(redis), [action(f"SET {key} ${{a}}")])
    assert redis.execute("EXISTS", key) == 0
    redis.execute("ACL", "SETUSER", "reader", "on", ">x", "~*", "+@read", "+command", "+acl|dryrun", "+role")
    for what, template, said in (
        (resource(redis), "NOSUCH k", "no command NOSUCH"),
        (resource(redis), "SET k", "at least 2 words"),
        (resource(redis), "GET k ${a}", "1 words after it, not 2"),
        (resource(redis, username="reader", password="x"), "SET k ${a}", "no permissions"),
    ):
        failed = await failing(what, action(template))
        assert (failed.hop, said in failed.message) == ("statement", True), failed


def follows(replica: Redis) -> bool:
    """Whether it has its master's data; while it reads them in it answers hardly anything."""
    try:
        return str(replica.execute("INFO", "replication")["master_link_status"]) == "up"
    except RedisError:
        return False


async def test_a_replica_takes_no_writes(redis: Redis) -> None:
    with Redis() as replica:
        replica.execute("REPLICAOF", "127.0.0.1", str(redis.port))
        wait_until(lambda: follows(replica), "the replica's copy")
        failed = await failing(resource(replica))
        assert (failed.hop, "replica" in failed.message) == ("database", True)


async def test_the_master_that_sentinels_name() -> None:
    with Redis() as first, Redis() as second:
        second.execute("REPLICAOF", "127.0.0.1", str(first.port))
        with Sentinel(first) as sentinel:
            reached = {server.server: server.server for server in (first, second)}
            options: Any = {"redis_type": "sentinel", "sentinel_password": sentinel.password, "address_map": reached}
            what = resource(first, servers=f"127.0.0.1:{free_port()},{sentinel.server}", sentinel="orders", **options)
            await probe(what, [action("RPUSH k ${a}")])
            absent = await failing(resource(first, servers=sentinel.server, sentinel="absent", **options))
            assert (absent.hop, "absent" in absent.message) == ("database", True)
            wrong = {**options, "sentinel_password": "wrong"}
            assert (await failing(resource(first, servers=sentinel.server, sentinel="orders", **wrong))).hop == "login"
            async with writing(what, action("RPUSH k ${a}")) as writer:
                await writer.write([{"a": 1}])
                wait_until(lambda: follows(second), "the replica's copy")
                wait_until(lambda: second.execute("LRANGE", "k", "0", "-1") == ["1"], "the replica follows")
                wait_until(lambda: bool(sentinel.execute("SENTINEL", "REPLICAS", "orders")), "the sentinel knows it")
                first.kill()
                asked = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "orders")
                wait_until(lambda: str(second.port) in str(sentinel.execute(*asked)), "the failover")
                with pytest.raises(Unavailable):
                    await writer.write([{"a": 2}])
                await writer.write([{"a": 2}])
            assert second.execute("LRANGE", "k", "0", "-1") == ["1", "2"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[RedisNode]]:
    with redis_cluster() as nodes:
        yield nodes


async def test_a_cluster(cluster: list[RedisNode]) -> None:
    servers = ",".join(node.server for node in cluster)
    what = resource(cluster[0], servers=servers, redis_type="cluster")
    key = unique("k")
    await probe(what, [action(f"SET {key}:${{n}} ${{n}}")])
    await write(what, action(f"SET {key}:${{n}} ${{n}}"), [{"n": n} for n in range(300)])
    counts = [len(node.execute("KEYS", f"{key}:*")) for node in cluster]
    assert sum(counts) == 300
    assert all(counts)
    found = await refused(what, action(f"INCRBY {key}:${{n}} ${{by}}"), [{"n": n, "by": n or "x"} for n in range(9)])
    assert list(found.rows) == [0]
    assert len(found.written) == 8
    failed = await failing(what, action("NOSUCH k"))
    assert failed.hop == "statement"
    alone = await failing(resource(cluster[0]))
    assert (alone.hop, "cluster" in alone.hint) == ("database", True)


async def test_nodes_that_announce_addresses_which_lead_nowhere() -> None:
    class Behind(RedisNode):
        announced = "10.255.255.1"

    with Behind() as node:
        node.execute("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        wait_until(lambda: "cluster_state:ok" in str(node.execute("CLUSTER", "INFO")), "the cluster")
        what = resource(node, redis_type="cluster", address_map={f"10.255.255.1:{node.port}": node.server})
        await write(what, action("SET k${n} ${n}"), [{"n": n} for n in range(10)])
        assert len(node.execute("KEYS", "*")) == 10


def test_a_reset_is_tls_only_while_it_is_agreed_on() -> None:
    """Whether the alert or the reset is read first, where a certificate is missing, is chance."""
    reset = ConnectionError("Error while reading")
    reset.__cause__ = ConnectionResetError(104, "Connection reset by peer")
    for connecting, encrypted, hop in ((True, True, "tls"), (True, False, "tcp"), (False, True, "tcp")):
        found = translated(reset, "cache:6379", connecting, encrypted)
        assert isinstance(found, Unavailable) and found.hop == hop


async def test_tls_with_a_name_and_a_certificate() -> None:
    server, authority = Redis(), Authority()
    pair, client = authority.sign(NAME), authority.sign("app")
    files = {"ca-cert": authority.cert, "cert": pair.cert, "key": pair.key}
    for name, text in files.items():
        server.options += (f"--tls-{name}-file", str(server.write(name, text)))
    with server:
        server.execute("CONFIG", "SET", "tls-port", str(port := free_port()))
        whole = Ssl(enable=True, cacert=authority.cert, cert=client.cert, key=client.key, server_name=NAME)
        there = {"servers": f"127.0.0.1:{port}"}
        await write(resource(server, ssl=whole, **there), action("SET k ${a}"), [{"a": 1}])
        assert server.execute("GET", "k") == "1"
        without = Ssl(enable=True, cacert=authority.cert, server_name=NAME)
        for ssl in (Ssl(enable=True, cacert=authority.cert, server_name="other.example"), without):
            failed = await failing(resource(server, ssl=ssl, **there))
            assert failed.hop == "tls", (failed, failed.cause)
