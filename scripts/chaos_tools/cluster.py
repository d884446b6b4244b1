"""The restaurant in a storm: servers, processes by name, what was done to them, what they said."""

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.stage import environment_for, stop_all
from chaos_tools.fault_log import Journal
from chaos_tools.process_specs import roster
from chaos_tools.workload.order_generator import Clients
from devservices import GuardedProcess, Proxy, Servers, free_port
from supervisor.api_client import ApiError

LOOK_SECONDS = 0.2
POLL_SECONDS = 0.05
ASK_SECONDS = 30.0
START_SECONDS = 90.0
STOP_SECONDS = 15.0
RESTAURANT = "pizza"


@dataclass
class Member:
    """One process of the restaurant, through all its lives; `more` is added to its environment.

    module: what `python -m` runs.
    """

    name: str
    flags: list[str]
    more: Mapping[str, str]
    process: GuardedProcess
    module: str = RESTAURANT


class World:
    """A full restaurant on a database of its own. Who dies without a storm's doing is noted."""

    def __init__(self, servers: Servers, db_url: str, folder: Path, *, wired: bool = False) -> None:
        """Nothing runs yet. `wired` puts a proxy before each server, for all processes."""
        self.servers = servers
        self.db_url = db_url
        self.folder = folder
        self.port = free_port()
        self.members: dict[str, Member] = {}
        self.died: list[str] = []
        self.journal = Journal()
        self.guests: Clients | None = None
        ends = (servers.postgres.address, servers.rabbitmq.address)
        self.wires = [Proxy(end) for end in ends] if wired else []
        database, broker = (wire.address for wire in self.wires) if wired else ends
        self._environment = environment_for(db_url.replace(ends[0], database), broker)
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._keep_watch, name="watch", daemon=True)
        folder.mkdir(parents=True, exist_ok=True)

    def open(self) -> None:
        """Start everybody, and the watch over them; waits for nothing."""
        for name, flags in roster(self.port).items():
            self.hire(name, flags)
        self._watch.start()

    @property
    def cooks(self) -> list[str]:
        """The names of the cooks."""
        return [name for name in self.members if name.startswith("chef")]

    # -- what is done to it ---------------------------------------------------------------

    def hire(self, name: str, flags: list[str], *, module: str = RESTAURANT, **more: str) -> Member:
        """Start one more process, with `more` in its environment; module: what it runs."""
        with self._lock:
            process = self._start(name, flags, more, module)
            self.members[name] = Member(name, flags, more, process, module)
            return self.members[name]

    def dismiss(self, name: str) -> None:
        """Stop a process in good order; it belongs to the restaurant no longer."""
        with self._lock:
            member = self.members.pop(name)
        member.process.stop(signal.SIGTERM, STOP_SECONDS)

    @contextmanager
    def extra(
        self, staff: Mapping[str, list[str]], *, module: str = RESTAURANT, **more: str
    ) -> Iterator[list[str]]:
        """More processes for the time of the block; gives their names."""
        for name, flags in staff.items():
            self.hire(name, flags, module=module, **more)
        try:
            yield list(staff)
        finally:
            for name in staff:
                self.dismiss(name)

    def kill(self, name: str, more: Mapping[str, str] | None = None) -> None:
        """kill -9, and start anew under the same name, with another environment if given."""
        if name == "service":
            self.journal.note_struck()  # nothing new to cook until it has started
        with self._lock:
            member = self.members[name]
            member.process.kill()
            member.more = member.more if more is None else more
            self._revive(member)
        self.journal.note_healed()

    def restart(self, name: str) -> None:
        """SIGTERM, its end, and a new one. Of the order service the new one is there first."""
        with self._lock:
            member, old = self.members[name], self.members[name].process
            if name == "service":
                before = self.logged("service_started", name)
                self._revive(member)
                self._await(lambda: self.logged("service_started", name) > before, name)
            old.send(signal.SIGTERM)
            if code := old.wait(STOP_SECONDS):
                self.died.append(f"{name}, stopped: {code}")
            if name != "service":
                self._revive(member)
        self.journal.note_healed()

    def freeze(self, name: str) -> None:
        """SIGSTOP to a process and all its children."""
        self.members[name].process.pause()

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.members[name].process.resume()
        self.journal.note_healed()

    def heal(self) -> None:
        """Mend all that a storm may have left: servers, wires, settings, frozen processes."""
        for server in (self.servers.postgres, self.servers.rabbitmq):
            if server.process.running:
                server.resume()
            else:
                server.start()
        for wire in self.wires:
            wire.heal()
        set_read_only(self, False)
        for member in self.members.values():
            member.process.resume()
        self.journal.note_healed()

    def close(self) -> None:
        """Stop all processes, side by side."""
        self._over.set()
        if self._watch.is_alive():
            self._watch.join()
        stop_all([member.process for member in self.members.values()])
        for wire in self.wires:
            wire.close()

    # -- what it says ---------------------------------------------------------------------

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Ask the database, not through a wire; again for a while when it is away."""
        deadline = time.monotonic() + ASK_SECONDS
        while True:
            try:
                with psycopg.connect(self.db_url, connect_timeout=5) as conn:
                    return conn.execute(query.encode(), values or None).fetchall()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def value(self, query: str, **values: Any) -> Any:
        """The one value of a query."""
        return self.rows(query, **values)[0][0]

    def until(
        self, condition: Callable[[], object], seconds: float, every: float = POLL_SECONDS
    ) -> bool:
        """Wait up to so many seconds for a condition, asked `every` so many; whether it is true."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(every)
        return True

    def logged(self, action: str, name: str = "*") -> int:
        """How many lines of a process, through all its lives, have an action; `*`: of all."""
        return sum(
            path.read_text(errors="replace").count(f'"{action}"')
            for path in self.folder.glob(f"{name}.log")
        )

    def odd_lines(self) -> list[str]:
        """All that the processes wrote, on stdout or stderr, and that is not JSON."""
        logs = sorted(self.folder.glob("*.log"))
        return [f"{path.stem}: {line}" for path in logs for line in not_json(path)]

    def _await(self, done: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise ApiError(f"{name} did not start; see {self.folder}.")
            time.sleep(LOOK_SECONDS)

    # -- keeping it alive -----------------------------------------------------------------

    def _keep_watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with self._lock:
                for member in self.members.values():
                    if not member.process.running:
                        self.died.append(member.name)
                        self._revive(member)

    def _revive(self, member: Member) -> None:
        member.process = self._start(member.name, member.flags, member.more, member.module)

    def _start(
        self, name: str, flags: list[str], more: Mapping[str, str], module: str
    ) -> GuardedProcess:
        with (self.folder / f"{name}.log").open("ab") as output:
            return GuardedProcess(
                [sys.executable, "-m", module, *flags],
                env=self._environment | more_paths(more, self._environment),
                cwd=self.folder,
                output=output,
            )


def more_paths(more: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """`more`, but what it says of PYTHONPATH comes before what is there."""
    found = dict(more)
    if "PYTHONPATH" in found:
        found["PYTHONPATH"] += f":{environment['PYTHONPATH']}"
    return found


def set_read_only(world: World, refuse: bool) -> None:
    """Have the database refuse every write of every session, or take them again."""
    with world.servers.postgres.connect("postgres") as admin:
        admin.execute("set default_transaction_read_only = off")
        verb = "= on" if refuse else "= off"
        admin.execute(f"alter system set default_transaction_read_only {verb}".encode())
        admin.execute("select pg_reload_conf()")


def not_json(path: Path) -> Iterator[str]:
    """The lines of a log that are not JSON objects."""
    for line in path.read_text(errors="replace").splitlines():
        found: Any = None
        with contextlib.suppress(ValueError):
            found = json.loads(line)
        if not isinstance(found, dict):
            yield line
