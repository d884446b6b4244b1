"""A private PostgreSQL: real, durable, on loopback, gone with the process that started it."""

import contextlib
import os
import secrets
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from devservices.install.postgres import find_postgres
from devservices.ports import LOOPBACK
from devservices.process import ProcessFailed, last_line, run_command
from devservices.server import PrivateServer, change_owner, write_private
from devservices.waiting import wait_until

if TYPE_CHECKING:
    import psycopg

USER = "pizza"
DATABASE = "pizza"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "dynamic_shared_memory_type": "mmap",  # kill -9 leaves nothing in /dev/shm
    "logging_collector": "off",
}


class Postgres(PrivateServer):
    """One database server."""

    NAME = "PostgreSQL"
    # After a crash the server first flushes every file of every database, on a busy disk for
    # minutes.
    START_SECONDS = 180.0
    STOP_SIGNAL = signal.SIGINT  # fast shutdown: sessions are cut, everything is written
    STOP_SECONDS = 20.0
    ERROR_SIGNS = ("FATAL",)

    def __init__(self, folder: Path | str, *, binaries: Path | None = None) -> None:
        """binaries: the folder of `postgres` and `initdb`."""
        super().__init__(folder)
        self.data = self.folder / "data"
        self.binaries = binaries or find_postgres()
        self._password_file = self.folder / "password"
        if self._password_file.exists():
            self._password = self._password_file.read_text()
        else:  # made once, because loopback is open to every local account
            self._password = secrets.token_hex(16)

    @property
    def url(self) -> str:
        """Connection string of the database `pizza`, which exists once the server has started."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Connection string of any of its databases."""
        return f"postgresql://{USER}:{self._password}@{self.address}/{database}"

    def launch(self) -> Self:
        """Start without waiting (initdb, the first time, is waited for)."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._password_file.exists():
            write_private(self._password_file, self._password)
        prefix, owner, group = self._account(self.binaries / "postgres")
        change_owner(self._password_file, owner, group)
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster(prefix, owner, group)
        change_owner(self.data, owner, group)
        self._remove_stale_pid_file()
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        settings += ["-D", str(self.data), f"--port={self.port}"]
        command = [*prefix, str(self.binaries / "postgres"), *settings]
        self._process = self._run(command, _environment())
        return self

    def answers(self) -> bool:
        """Whether queries are answered; makes the database `pizza` if it does not exist."""
        import psycopg  # the bootstrap imports this module before anything is installed

        try:
            with self.connect("postgres") as admin:
                found = admin.execute("select from pg_database where datname = %s", [DATABASE])
                if not found.rowcount:
                    self.create_database(DATABASE)
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database: str = DATABASE) -> "psycopg.Connection":
        """A new autocommit connection as the superuser."""
        import psycopg

        return psycopg.connect(self.url_of(database), autocommit=True, connect_timeout=5)

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make an empty database, or a copy of `template`, which must be idle; its URL."""
        from psycopg.sql import SQL, Identifier

        with self.connect("postgres") as admin:
            statement = SQL("create database {} template {}")
            admin.execute(statement.format(Identifier(name), Identifier(template)))
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, cutting the sessions that still use it."""
        from psycopg.sql import SQL, Identifier

        with self.connect("postgres") as admin:
            admin.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))

    def set_read_only(self, read_only: bool) -> None:
        """Refuse every write of every session, as with a full disk, or accept them again."""
        value = "on" if read_only else "off"
        with self.connect() as admin:
            admin.execute(f"alter system set default_transaction_read_only = {value}".encode())
            admin.execute("select pg_reload_conf()")
            show = "show default_transaction_read_only"
            if not wait_until(lambda: admin.execute(show).fetchone() == (value,), 20.0):
                raise ProcessFailed(f"PostgreSQL did not set read-only {value}.")

    def _make_cluster(self, prefix: list[str], owner: int, group: int) -> None:
        """Run initdb in a folder that becomes `data` when it is whole."""
        shutil.rmtree(self.data, ignore_errors=True)
        unfinished = self.folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        os.chown(unfinished, owner, group)
        options = f"-U {USER} -E UTF8 --locale=C -A scram-sha-256 --no-sync".split()
        files = ["-D", unfinished, f"--pwfile={self._password_file}"]
        command = [*prefix, str(self.binaries / "initdb"), *options, *map(str, files)]
        done = run_command(command, cwd=self.folder, env=_environment())
        if done.returncode:
            raise ProcessFailed(f"initdb failed: {last_line(done.stderr)}")
        unfinished.rename(self.data)

    def _remove_stale_pid_file(self) -> None:
        """After a crash: a pid file whose number another process has now prevents the start."""
        pid_file = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(pid_file.read_text().split()[0])
            if Path(f"/proc/{pid}/cwd").readlink() == self.data:  # ours, left behind after all
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.2)
        pid_file.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """Ours without PG… variables (PGDATA, PGPORT and others would be obeyed) and in plain C."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # glibc gives each statement's memory back to the kernel and takes it again: a tenth of a
    # backend's time. Keeping it costs a few MB for each connection.
    keep_memory = {"MALLOC_TRIM_THRESHOLD_": "33554432", "MALLOC_TOP_PAD_": "4194304"}
    return kept | keep_memory | {"LC_ALL": "C", "TZ": "UTC"}
