"""The cluster under test: servers, processes by name, faults injected, logs written."""

import json
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import amqp
import psycopg
from kombu import Connection

from benchmarks.environment import environment_for
from chaos_tools.checks.latency_probe import PUBLISH_SECONDS, LatencyProbe
from chaos_tools.process_specs import process_commands
from chaos_tools.report import Report
from chaos_tools.workload.order_generator import OrderGenerator
from devservices import Proxy, Servers, free_port, wait_until
from supervisor.api_client import ApiError
from supervisor.process_group import ONE_STOP_SECONDS, ManagedProcess, ProcessGroup

QUERY_SECONDS = 30.0
START_SECONDS = 90.0


class ChaosCluster(ProcessGroup):
    """A full restaurant on its own database. Exits that no scenario caused are recorded.

    generator: places the orders; there when a scenario runs.
    injected, recovered: when a server was taken away, and when something recovered.
    lost_at_broker: ids of notifications that the broker had confirmed when it lost its disk.
    """

    generator: OrderGenerator
    SUPERVISE_SECONDS = 0.2

    def __init__(
        self,
        servers: Servers,
        db_url: str,
        folder: Path,
        report: Report,
        *,
        use_proxy: bool = False,
    ) -> None:
        """Starts nothing. use_proxy: all processes reach each server through a proxy."""
        ends = (servers.postgres.address, servers.rabbitmq.address)
        self.proxies = [Proxy(end) for end in ends] if use_proxy else []
        database, broker = (proxy.address for proxy in self.proxies) if use_proxy else ends
        super().__init__(folder, environment_for(db_url.replace(ends[0], database), broker))
        self.servers = servers
        self.db_url = db_url
        self.port = free_port()
        self.report = report
        self.injected: list[datetime] = []
        self.recovered: list[datetime] = []
        self.lost_at_broker: set[str] = set()

    def start(self) -> None:
        """Start all processes and their supervision; waits for nothing."""
        for name, command in process_commands(self.port).items():
            self.start_process(name, command)
        self.start_supervision()

    @property
    def cooks(self) -> list[str]:
        """The names of the cooks."""
        return [name for name in self.processes if name.startswith("chef")]

    # -- faults and processes -------------------------------------------------------------

    def record_injection(self) -> None:
        """A server is taken away now."""
        self.injected.append(datetime.now(UTC))

    def record_recovery(self) -> None:
        """Something has recovered now: the time to full speed counts from here."""
        self.recovered.append(datetime.now(UTC))

    @contextmanager
    def extra_processes(
        self, commands: Mapping[str, Sequence[str]], **extra_env: str
    ) -> Iterator[list[str]]:
        """Additional processes by name, for the time of the block; gives their names."""
        for name, command in commands.items():
            self.start_process(name, command, **extra_env)
        try:
            yield list(commands)
        finally:
            for name in commands:
                self.stop_process(name)

    @contextmanager
    def without_cooks(self) -> Iterator[None]:
        """Stop all cooks with SIGTERM, and start them again at the end of the block."""
        commands = {name: self.processes[name].command for name in self.cooks}
        for name in commands:
            self.stop_process(name)
        try:
            yield
        finally:
            for name, command in commands.items():
                self.start_process(name, command)
            self.record_recovery()

    def kill(self, name: str, extra_env: Mapping[str, str] | None = None) -> None:
        """kill -9, and start again under the same name, with another environment if given."""
        if name == "service":
            self.record_injection()  # nothing new to cook until it has started
        with self._lock:
            managed = self.processes[name]
            managed.process.kill()
            managed.extra_env = managed.extra_env if extra_env is None else extra_env
            self.restart_process(managed)
        self.record_recovery()

    def restart(self, name: str) -> None:
        """Stop with SIGTERM and start again; a new order service starts before the old one ends."""
        with self._lock:
            managed, old = self.processes[name], self.processes[name].process
            if name == "service":
                before = self.log_count("service_started", name)
                self.restart_process(managed)
                started = lambda: self.log_count("service_started", name) > before  # noqa: E731
                if not wait_until(started, START_SECONDS, self.SUPERVISE_SECONDS):
                    raise ApiError(f"{name} did not start; see {self.folder}.")
            old.send(signal.SIGTERM)
            if code := old.wait(ONE_STOP_SECONDS):
                self.report.died.append(f"{name}, stopped: {code}")
            if name != "service":
                self.restart_process(managed)
        self.record_recovery()

    def handle_exit(self, managed: ManagedProcess) -> None:
        """Record the exit, and restart the process."""
        self.report.died.append(managed.name)
        self.restart_process(managed)

    def freeze(self, name: str) -> None:
        """SIGSTOP to a process and all its children."""
        self.processes[name].process.pause()

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.processes[name].process.resume()
        self.record_recovery()

    def recover(self) -> None:
        """Undo all faults: start servers, reset proxies and settings, resume frozen processes."""
        for server in (self.servers.postgres, self.servers.rabbitmq):
            if server.process.running:
                server.resume()
            else:
                server.start()
        for proxy in self.proxies:
            proxy.recover()
        self.servers.postgres.set_read_only(False)
        for managed in self.processes.values():
            managed.process.resume()
        self.record_recovery()

    def close(self) -> None:
        """Stop all processes and proxies."""
        super().close()
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

    @contextmanager
    def broker_channel(self) -> Iterator[amqp.Channel]:
        """A channel to the broker on a new connection, not through a proxy."""
        with Connection(self.servers.rabbitmq.url) as link:
            yield link.channel()

    def probe(self, batch: int = 1) -> LatencyProbe:
        """A measurement of the publisher, not through a proxy."""
        return LatencyProbe(self.db_url, self.servers.rabbitmq.url, batch)

    @contextmanager
    def measured_publishing(self, batch: int = 1) -> Iterator[None]:
        """Record how soon events are published during the block. batch: as for `probe`."""
        with self.probe(batch) as probe:
            yield
        self.report.record_percentile("events published", probe.latencies(), PUBLISH_SECONDS)

    def log_count(self, action: str, name: str = "*") -> int:
        """How many log lines of a process have an action; `*`: of all processes."""
        return sum(
            path.read_text(errors="replace").count(f'"{action}"')
            for path in self.folder.glob(f"{name}.log")
        )

    def non_json_lines(self) -> list[str]:
        """All lines on stdout or stderr of the processes that are not JSON."""
        return [
            f"{log.stem}: {line}"
            for log in sorted(self.folder.glob("*.log"))
            for line in log.read_text(errors="replace").splitlines()
            if not _is_json_object(line)
        ]


def _is_json_object(line: str) -> bool:
    with suppress(ValueError):
        return isinstance(json.loads(line), dict)
    return False
