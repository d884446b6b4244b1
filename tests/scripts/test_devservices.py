"""The private servers do what tests rely on: same port for life, durable, killable, wipeable."""

from pathlib import Path

import psycopg
import pytest
from kombu import Connection

from devservices import Postgres, ProcessFailed, RabbitMQ, Servers

from ..support.waiting import wait_until


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with Servers(tmp_path_factory.mktemp("servers")) as both:
        yield both


def queue_exists(rabbitmq: RabbitMQ, name: str) -> bool:
    with Connection(rabbitmq.url) as connection:
        try:
            connection.default_channel.queue_declare(name, passive=True)
        except connection.channel_errors:
            return False
        return True


def test_postgres_is_durable_and_keeps_its_port(servers):
    postgres = servers.postgres
    url = postgres.url
    with postgres.connect() as conn:
        settings = [
            conn.execute(f"show {name}").fetchone()[0]
            for name in ("fsync", "synchronous_commit", "max_connections", "listen_addresses")
        ]
        conn.execute("create table kept (n int)")
    assert settings == ["on", "on", "200", "127.0.0.1"]
    postgres.kill9()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)
    postgres.start()
    with psycopg.connect(url) as conn:
        assert conn.execute("select count(*) from kept").fetchone() == (0,)


def test_postgres_wants_its_password(servers):
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://pizza@{servers.postgres.address}/pizza", connect_timeout=2)


def test_postgres_hangs_on_request(servers):
    servers.postgres.pause()
    try:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(servers.postgres.url, connect_timeout=2)
    finally:
        servers.postgres.resume()
    servers.postgres.connect().close()


def test_databases_come_and_go(servers):
    url = servers.postgres.create_database("original")
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("create table t (n int)")
    copy = servers.postgres.create_database("copy", template="original")
    guest = psycopg.connect(copy)
    guest.execute("select * from t")
    servers.postgres.drop_database("original")
    servers.postgres.drop_database("copy")  # cuts the guest off
    guest.close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(copy, connect_timeout=2)


def test_rabbitmq_survives_a_crash_but_not_a_wipe(servers):
    rabbitmq = servers.rabbitmq
    url = rabbitmq.url
    with Connection(url) as connection:
        connection.default_channel.queue_declare("kept", durable=True, auto_delete=False)
    rabbitmq.flush_topology()
    rabbitmq.kill9()
    assert not rabbitmq.answers()
    rabbitmq.start()
    assert rabbitmq.url == url
    assert queue_exists(rabbitmq, "kept")
    rabbitmq.wipe()
    assert not queue_exists(rabbitmq, "kept")


def test_rabbitmq_hangs_on_request(servers):
    servers.rabbitmq.pause()
    assert not servers.rabbitmq.answers()
    servers.rabbitmq.resume()
    wait_until(servers.rabbitmq.answers, 5, "it answers again")


def test_everything_listens_on_loopback_only(servers):
    loopback = {"0100007F", "00000000000000000000000001000000"}
    hosts: dict[int, set[str]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = row.split()
            if state == "0A":  # listening
                host, port = local.split(":")
                hosts.setdefault(int(port, 16), set()).add(host)
    rabbitmq = servers.rabbitmq
    for port in (servers.postgres.port, rabbitmq.port, rabbitmq.node_port, rabbitmq.epmd_port):
        assert hosts[port] <= loopback


def test_a_stale_pid_file_does_not_bar_the_start(tmp_path):
    postgres = Postgres(tmp_path / "pg").start()
    postgres.kill9()
    pid_file = postgres.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join(["1", *lines[1:]]))  # a process that lives and is not ours
    postgres.start()
    postgres.stop()


def test_what_does_not_start_says_so(tmp_path):
    postgres = Postgres(tmp_path / "pg").start()
    postgres.stop()
    (postgres.data / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(ProcessFailed, match="PostgreSQL did not start"):
        postgres.start()
