"""The cluster under test: servers, processes by name, faults injected, logs written."""

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

from benchmarks.environment import environment_for, stop_all
from chaos_tools.fault_log import FaultLog
from chaos_tools.process_specs import process_flags
from chaos_tools.workload.order_generator import OrderGenerator
from devservices import GuardedProcess, Proxy, Servers, free_port
from supervisor.api_client import ApiError

SUPERVISE_SECONDS = 0.2
POLL_SECONDS = 0.05
QUERY_SECONDS = 30.0
START_SECONDS = 90.0
STOP_SECONDS = 15.0
RESTAURANT_MODULE = "pizza"


@dataclass
class ManagedProcess:
    """One process of the cluster, across its restarts.

    extra_env: added to its environment; module: what `python -m` runs.
    """

    name: str
    flags: list[str]
    extra_env: Mapping[str, str]
    process: GuardedProcess
    module: str = RESTAURANT_MODULE


class ChaosCluster:
    """A full restaurant on its own database. Exits that no scenario caused are recorded."""

    def __init__(
        self, servers: Servers, db_url: str, folder: Path, *, use_proxy: bool = False
    ) -> None:
        """Starts nothing. use_proxy: all processes reach each server through a proxy."""
        self.servers = servers
        self.db_url = db_url
        self.folder = folder
        self.port = free_port()
        self.processes: dict[str, ManagedProcess] = {}
        self.unexpected_exits: list[str] = []
        self.fault_log = FaultLog()
        self.generator: OrderGenerator | None = None
        ends = (servers.postgres.address, servers.rabbitmq.address)
        self.proxies = [Proxy(end) for end in ends] if use_proxy else []
        database, broker = (proxy.address for proxy in self.proxies) if use_proxy else ends
        self._environment = environment_for(db_url.replace(ends[0], database), broker)
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start all processes and their supervision; waits for nothing."""
        for name, flags in process_flags(self.port).items():
            self.start_process(name, flags)
        self._supervisor.start()

    @property
    def cooks(self) -> list[str]:
        """The names of the cooks."""
        return [name for name in self.processes if name.startswith("chef")]

    # -- faults and processes -------------------------------------------------------------

    def start_process(
        self, name: str, flags: list[str], *, module: str = RESTAURANT_MODULE, **extra_env: str
    ) -> ManagedProcess:
        """Start one more process. module: what it runs; extra_env: added to its environment."""
        with self._lock:
            process = self._start(name, flags, extra_env, module)
            self.processes[name] = ManagedProcess(name, flags, extra_env, process, module)
            return self.processes[name]

    def stop_process(self, name: str) -> None:
        """Stop a process with SIGTERM, and do not restart it."""
        with self._lock:
            managed = self.processes.pop(name)
        managed.process.stop(signal.SIGTERM, STOP_SECONDS)

    @contextmanager
    def extra_processes(
        self,
        flags_by_name: Mapping[str, list[str]],
        *,
        module: str = RESTAURANT_MODULE,
        **extra_env: str,
    ) -> Iterator[list[str]]:
        """Additional processes for the time of the block; gives their names."""
        for name, flags in flags_by_name.items():
            self.start_process(name, flags, module=module, **extra_env)
        try:
            yield list(flags_by_name)
        finally:
            for name in flags_by_name:
                self.stop_process(name)

    @contextmanager
    def without_cooks(self) -> Iterator[None]:
        """Stop all cooks with SIGTERM, and start them again at the end of the block."""
        flags = {name: self.processes[name].flags for name in self.cooks}
        for name in flags:
            self.stop_process(name)
        try:
            yield
        finally:
            for name, given in flags.items():
                self.start_process(name, given)
            self.fault_log.record_recovery()

    def kill(self, name: str, extra_env: Mapping[str, str] | None = None) -> None:
        """kill -9, and start again under the same name, with another environment if given."""
        if name == "service":
            self.fault_log.record_injection()  # nothing new to cook until it has started
        with self._lock:
            managed = self.processes[name]
            managed.process.kill()
            managed.extra_env = managed.extra_env if extra_env is None else extra_env
            self._restart(managed)
        self.fault_log.record_recovery()

    def restart(self, name: str) -> None:
        """Stop with SIGTERM and start again; a new order service starts before the old one ends."""
        with self._lock:
            managed, old = self.processes[name], self.processes[name].process
            if name == "service":
                before = self.log_count("service_started", name)
                self._restart(managed)
                self._await(lambda: self.log_count("service_started", name) > before, name)
            old.send(signal.SIGTERM)
            if code := old.wait(STOP_SECONDS):
                self.unexpected_exits.append(f"{name}, stopped: {code}")
            if name != "service":
                self._restart(managed)
        self.fault_log.record_recovery()

    def freeze(self, name: str) -> None:
        """SIGSTOP to a process and all its children."""
        self.processes[name].process.pause()

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.processes[name].process.resume()
        self.fault_log.record_recovery()

    def recover(self) -> None:
        """Undo all faults: start servers, reset proxies and settings, resume frozen processes."""
        for server in (self.servers.postgres, self.servers.rabbitmq):
            if server.process.running:
                server.resume()
            else:
                server.start()
        for proxy in self.proxies:
            proxy.recover()
        set_read_only(self, False)
        for managed in self.processes.values():
            managed.process.resume()
        self.fault_log.record_recovery()

    def close(self) -> None:
        """Stop all processes at the same time."""
        self._closing.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        stop_all([managed.process for managed in self.processes.values()])
        for proxy in self.proxies:
            proxy.close()

    # -- what is observed -----------------------------------------------------------------

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, not through a proxy; retried while the database is away."""
        deadline = time.monotonic() + QUERY_SECONDS
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

    def wait_until(
        self, condition: Callable[[], object], seconds: float, every: float = POLL_SECONDS
    ) -> bool:
        """Wait up to `seconds` for a condition, polled `every` so many; whether it became true."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(every)
        return True

    def log_count(self, action: str, name: str = "*") -> int:
        """How many log lines of a process have an action; `*`: of all processes."""
        return sum(
            path.read_text(errors="replace").count(f'"{action}"')
            for path in self.folder.glob(f"{name}.log")
        )

    def non_json_lines(self) -> list[str]:
        """All lines on stdout or stderr of the processes that are not JSON."""
        logs = sorted(self.folder.glob("*.log"))
        return [f"{path.stem}: {line}" for path in logs for line in non_json_lines_of(path)]

    def _await(self, done: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise ApiError(f"{name} did not start; see {self.folder}.")
            time.sleep(SUPERVISE_SECONDS)

    # -- supervision ----------------------------------------------------------------------

    def _supervise(self) -> None:
        while not self._closing.wait(SUPERVISE_SECONDS):
            with self._lock:
                for managed in self.processes.values():
                    if not managed.process.running:
                        self.unexpected_exits.append(managed.name)
                        self._restart(managed)

    def _restart(self, managed: ManagedProcess) -> None:
        managed.process = self._start(
            managed.name, managed.flags, managed.extra_env, managed.module
        )

    def _start(
        self, name: str, flags: list[str], extra_env: Mapping[str, str], module: str
    ) -> GuardedProcess:
        with (self.folder / f"{name}.log").open("ab") as output:
            return GuardedProcess(
                [sys.executable, "-m", module, *flags],
                env=self._environment | with_python_path(extra_env, self._environment),
                cwd=self.folder,
                output=output,
            )


def with_python_path(
    extra_env: Mapping[str, str], environment: Mapping[str, str]
) -> dict[str, str]:
    """`extra_env`, with its PYTHONPATH in front of the existing one."""
    found = dict(extra_env)
    if "PYTHONPATH" in found:
        found["PYTHONPATH"] += f":{environment['PYTHONPATH']}"
    return found


def set_read_only(cluster: ChaosCluster, refuse: bool) -> None:
    """Make the database refuse every write of every session, or accept them again."""
    with cluster.servers.postgres.connect("postgres") as admin:
        admin.execute("set default_transaction_read_only = off")
        verb = "= on" if refuse else "= off"
        admin.execute(f"alter system set default_transaction_read_only {verb}".encode())
        admin.execute("select pg_reload_conf()")


def non_json_lines_of(path: Path) -> Iterator[str]:
    """The lines of a log that are not JSON objects."""
    for line in path.read_text(errors="replace").splitlines():
        found: Any = None
        with contextlib.suppress(ValueError):
            found = json.loads(line)
        if not isinstance(found, dict):
            yield line
