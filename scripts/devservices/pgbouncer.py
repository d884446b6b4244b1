"""A private PgBouncer before a private PostgreSQL: on loopback, gone with what started it."""

import os
import shutil
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

from devservices.install import debian, packages
from devservices.ports import LOOPBACK, free_port
from devservices.postgres import Postgres, ways_out_of_root
from devservices.process import GuardedProcess, ProcessFailed

PACKAGE = "pgbouncer"
FETCHED = packages.FOLDER / PACKAGE
START_SECONDS = 20.0


def find_or_fetch_pgbouncer() -> tuple[Path, dict[str, str]]:
    """The program and the variables that it needs. Raises ProcessFailed."""
    unpack = lambda: debian.unpack([PACKAGE], FETCHED)  # noqa: E731
    return packages.find_or_fetch("PgBouncer", _find, [PACKAGE], unpack)


def _find() -> tuple[Path, dict[str, str]] | None:
    if program := shutil.which(PACKAGE, path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        return Path(program), {}
    unpacked = FETCHED / "usr/sbin/pgbouncer"
    if os.access(unpacked, os.X_OK):
        return unpacked, packages.library_path(FETCHED)
    return None


class PgBouncer:
    """Usable as a context manager."""

    def __init__(self, folder: Path | str, server: Postgres, mode: str, **settings: object) -> None:
        """Nothing is started yet. mode: session, transaction or statement; settings: others of
        pgbouncer.ini.
        """
        self.folder = Path(folder).resolve()
        self.port = free_port()
        self._server = server
        self._settings = {"pool_mode": mode, "default_pool_size": 60, **settings}
        self._process: GuardedProcess | None = None

    def url_of(self, database: str) -> str:
        """Connection string of a database of the server, through the pooler."""
        return self._server.url_of(database).replace(
            self._server.address, f"{LOOPBACK}:{self.port}"
        )

    def __enter__(self) -> "PgBouncer":
        self.folder.mkdir(parents=True, exist_ok=True)
        program, variables = find_or_fetch_pgbouncer()
        url = urlsplit(self._server.url)
        self._write("userlist.txt", f'"{url.username}" "{url.password}"\n')
        settings = {
            "listen_addr": LOOPBACK,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self.folder / "userlist.txt",
            "max_client_conn": 500,
            **self._settings,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        target = f"[databases]\n* = host={LOOPBACK} port={self._server.port}\n"
        self._write("pgbouncer.ini", f"{target}[pgbouncer]\n{lines}")
        # It refuses to run as root, and an unmapped user is none.
        prefix = ways_out_of_root()[0][0] if os.geteuid() == 0 else []
        command: list[str | Path] = [*prefix, program, self.folder / "pgbouncer.ini"]
        with (self.folder / "pgbouncer.log").open("ab") as log:
            self._process = GuardedProcess(command, env=os.environ | variables, output=log)
        self._wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop()

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)

    def _wait_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.running:
            try:
                socket.create_connection((LOOPBACK, self.port), 1).close()
            except OSError:
                time.sleep(0.03)
            else:
                return
        said = (self.folder / "pgbouncer.log").read_text(errors="replace").strip()
        raise ProcessFailed(f"PgBouncer did not start: {said[-300:]}")
