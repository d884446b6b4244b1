"""The servers of a run, and for each measurement a fresh database, an empty broker, processes."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqp.exceptions import AMQPError

from benchmarks.results import MeasurementFailed
from bootstrap.data_dir import ROOT
from devservices import Servers, free_port, wait_until
from pizza.config.settings import OPTIONS, Settings
from pizza.database.connection import BoundedConnection, connect
from pizza.processes import setup
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.topology import TOPOLOGY
from supervisor.api_client import ApiClient
from supervisor.process_group import ProcessGroup, python

PEER_QUEUES = ("bench_celery", "bench_dramatiq", "bench_dramatiq.DQ", "bench_dramatiq.XQ")
START_SECONDS = 60.0


class BenchCluster(ProcessGroup):
    """A restaurant on its own database; none of its processes is started with it."""

    def __init__(self, servers: Servers, db_url: str, folder: Path) -> None:
        super().__init__(folder, environment_for(db_url, servers.rabbitmq.address))
        self.servers = servers
        self.db_url = db_url
        self.settings = Settings(
            mode="order-service", db_url=db_url, rabbitmq=servers.rabbitmq.address, max_concurrent=0
        )
        self.port = free_port()
        self.conn: BoundedConnection = connect(db_url, name="bench")

    def start_order_service(self, stations: str = "none") -> None:
        """Start the order service with its relay, no cap, and wait until it is ready.

        stations: those that the restaurant staffs; by default an order's way ends at `ready`, as
        it does for the peers.
        """
        port = f"--port={self.port}"
        more = ["--max-concurrent=0", f"--stations={stations}"]
        self.start_process("service", python("pizza", "--mode=order-service", port, *more))
        client = ApiClient(self.port, self.check)
        self.wait_until(
            lambda: client.get("/readyz", START_SECONDS)["status"] == "ready", "service"
        )
        # The cap is set in the background, independently of readiness.
        capacity = "select sum(share) > 1000000 from kitchen_capacity"
        self.wait_until(lambda: self.value(capacity), "cap")

    def start_cooks(self, count: int, *, seconds: float = 0.0, wait: bool = True) -> None:
        """Start cooks. seconds: their cooking time; wait: until they are online."""
        for number in range(1, count + 1):
            name = f"cook_{number}"
            more = [f"--worker-name={name}", f"--cooking-time={seconds}", "--grace=1"]
            self.start_process(name, python("pizza", "--mode=kitchen-worker", *more))
        if wait:
            online = "select count(*) from workers where status = 'online'"
            self.wait_until(lambda: self.value(online) == count, "cooks")

    def wait_until(
        self,
        condition: Callable[[], object],
        what: str,
        pause: float = 0.05,
        seconds: float = START_SECONDS,
    ) -> None:
        """Wait for a condition; MeasurementFailed when it takes too long or a process ends."""

        def met() -> object:
            self.check()
            return condition()

        if not wait_until(met, seconds, pause):
            raise MeasurementFailed(f"Gave up waiting for {what}; see {self.folder}.")

    def check(self) -> None:
        """Raise when a process has ended."""
        for name, managed in self.processes.items():
            if not managed.process.running:
                raise MeasurementFailed(f"{name} has ended; see {self.folder / name}.log.")

    def value(self, query: str, *parameters: object) -> Any:
        """The one value of a query."""
        return self.conn.fetch_first(query, parameters or None)[0]

    def pids(self, *prefixes: str) -> list[int]:
        """Process ids of the processes whose names have one of these prefixes."""
        return [p.process.pid for name, p in self.processes.items() if name.startswith(prefixes)]

    def groups(self, **more: list[int]) -> dict[str, list[int]]:
        """Process ids by name: what is given, or else each process; and the servers."""
        processes = {name: [each.process.pid] for name, each in self.processes.items()}
        servers = {"postgres": self.servers.postgres, "rabbitmq": self.servers.rabbitmq}
        return (more or processes) | {name: [each.process.pid] for name, each in servers.items()}

    def close(self) -> None:
        """Stop all processes; close the connection."""
        super().close()
        self.conn.close()


@dataclass
class BenchEnvironment:
    """Private servers, from which each measurement gets a cluster. folder: takes the logs."""

    servers: Servers
    folder: Path
    _numbers = itertools.count(1)

    @contextmanager
    def cluster(self, work: str, template: str | None = None) -> Iterator[BenchCluster]:
        """A cluster with tables and queues, fresh or with the data of `template`."""
        name = f"bench_{next(self._numbers)}_{work}"
        with fresh_database(self.servers, name, template) as url:
            empty_broker(self.servers.rabbitmq.address, PEER_QUEUES)
            with self.servers.postgres.connect() as admin:
                admin.execute("checkpoint")  # what was written before costs no measurement
            with closing(BenchCluster(self.servers, url, self.folder / name)) as cluster:
                yield cluster

    @contextmanager
    def template(self, fill: Callable[[BoundedConnection], None]) -> Iterator[str]:
        """A database with tables and data, to copy for clusters; its name."""
        name = f"bench_{next(self._numbers)}_template"
        with fresh_database(self.servers, name) as url:
            with connect(url, name="bench") as conn:
                fill(conn)
                conn.execute("vacuum analyze")
            yield name


@contextmanager
def fresh_database(servers: Servers, name: str, template: str | None = None) -> Iterator[str]:
    """The URL of a new database with tables, or of a copy of `template`; dropped at the end."""
    url = servers.postgres.create_database(name, template or "template0")
    try:
        if template is None:
            setup.setup_db(url)
        yield url
    finally:
        servers.postgres.drop_database(name)


def environment_for(db_url: str, rabbitmq: str) -> dict[str, str]:
    """The environment of the restaurant's processes: ours, without its options."""
    ours = {option.variable for option in OPTIONS}
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    return kept | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scripts'}",
        "DB_URL": db_url,
        "RABBITMQ": rabbitmq,
    }


def empty_broker(rabbitmq: str, more: Iterable[str]) -> None:
    """Remove every queue of the restaurant, and `more`; declare the restaurant's again."""
    url = Settings(rabbitmq=rabbitmq).broker_url
    broker = BrokerConnection(url, name="bench")
    with suppress(AMQPError, OSError):
        for name in (*(queue.name for queue in TOPOLOGY.queues), *more):
            broker.channel.queue_delete(name)
    broker.close()
    setup.setup_queues(url)
