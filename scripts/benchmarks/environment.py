"""The servers of a run, and for each measurement a fresh database, an empty broker, processes."""

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from amqp.exceptions import AMQPError

from benchmarks.results import MeasurementFailed
from bootstrap.data_dir import ROOT
from devservices import GuardedProcess, Servers, free_port
from pizza.config.settings import OPTIONS, Settings
from pizza.database.connection import BoundedConnection, connect
from pizza.processes import setup
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.topology import TOPOLOGY
from supervisor.api_client import ApiClient

PEER_QUEUES = ("bench_celery", "bench_dramatiq", "bench_dramatiq.DQ", "bench_dramatiq.XQ")
STOP_SECONDS = 6.0
START_SECONDS = 60.0


class BenchCluster:
    """A restaurant on its own database, whose processes end with the block that opened it."""

    def __init__(self, servers: Servers, db_url: str, folder: Path) -> None:
        """Nothing runs yet; `variables` are for whatever is started from here on."""
        self.servers = servers
        self.db_url = db_url
        self.folder = folder
        self.settings = Settings(
            mode="order-service", db_url=db_url, rabbitmq=servers.rabbitmq.address, max_concurrent=0
        )
        self.port = free_port()
        self.processes: dict[str, GuardedProcess] = {}
        self.variables: dict[str, str] = {}
        self.conn: BoundedConnection = connect(db_url, name="bench")

    def start(self, name: str, command: list[str], more: Mapping[str, str] | None = None) -> None:
        """Start a process of the restaurant, or of a peer, with its output in a file."""
        environment = environment_for(self.db_url, self.servers.rabbitmq.address)
        with (self.folder / f"{name}.log").open("ab") as output:
            self.processes[name] = GuardedProcess(
                [sys.executable, "-m", *command],
                env=environment | self.variables | dict(more or {}),
                cwd=self.folder,
                output=output,
            )

    def start_order_service(self, stations: str = "none") -> None:
        """Start the order service with its relay, no cap, and wait until it is ready.

        stations: those that the restaurant staffs; by default an order's way ends at `ready`, as
        it does for the peers.
        """
        port = f"--port={self.port}"
        more = ["--max-concurrent=0", f"--stations={stations}"]
        self.start("service", ["pizza", "--mode=order-service", port, *more])
        client = ApiClient(self.port, self.check)
        self.wait_until(
            lambda: client.get("/readyz", START_SECONDS)["status"] == "ready", "service"
        )
        # The cap is set in the background, and readiness says nothing about it.
        capacity = "select sum(share) > 1000000 from kitchen_capacity"
        self.wait_until(lambda: self.value(capacity), "cap")

    def start_cooks(self, count: int, *, wait: bool = True) -> None:
        """Start cooks that cook in no time."""
        for number in range(1, count + 1):
            name = f"cook_{number}"
            more = [f"--worker-name={name}", "--cooking-time=0", "--grace=1"]
            self.start(name, ["pizza", "--mode=kitchen-worker", *more])
        if wait:
            online = "select count(*) from workers where status = 'online'"
            self.wait_until(lambda: self.value(online) == count, "cooks")

    def wait_until(self, condition: Callable[[], object], what: str, pause: float = 0.05) -> None:
        """Wait for a condition; MeasurementFailed when it takes too long or a process ends."""
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise MeasurementFailed(f"Gave up waiting for {what}; see {self.folder}.")
            time.sleep(pause)

    def wait_until_published(self) -> None:
        """Wait until the relay has nothing left to do."""
        pending = "select exists (select from message where state = 'pending')"
        self.wait_until(lambda: not self.value(pending), "the relay")

    def check(self) -> None:
        """Raise when a process has ended."""
        for name, process in self.processes.items():
            if not process.running:
                raise MeasurementFailed(f"{name} has ended; see {self.folder / name}.log.")

    def value(self, query: str, *parameters: object) -> int | float:
        """The one value of a query."""
        row = self.conn.execute(query.encode(), parameters or None).fetchone()
        assert row is not None
        found: int | float = row[0]
        return found

    def pids(self, *prefixes: str) -> list[int]:
        """Process ids of the processes whose names begin so."""
        return [p.pid for name, p in self.processes.items() if name.startswith(prefixes)]

    def groups(self, **more: list[int]) -> dict[str, list[int]]:
        """The servers, and what is named, for the processor time."""
        postgres, broker = self.servers.postgres.process.pid, self.servers.rabbitmq.process.pid
        return more | {"postgres": [postgres], "rabbitmq": [broker]}

    def close(self) -> None:
        """Stop all processes, side by side."""
        stop_all(self.processes.values())
        self.conn.close()


class BenchEnvironment:
    """Private servers, from which each measurement gets a cluster."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        """`folder` takes the logs."""
        self.servers = servers
        self.folder = folder
        self._numbers = itertools.count(1)

    @contextmanager
    def cluster(self, work: str, template: str | None = None) -> Iterator[BenchCluster]:
        """A site with tables and queues, fresh or with the data of `template`."""
        name = f"bench_{next(self._numbers)}_{work}"
        postgres = self.servers.postgres
        url = postgres.create_database(name, template or "template0")
        if template is None:
            setup.setup_db(url)
        empty_broker(self.servers.rabbitmq.address)
        with postgres.connect() as admin:
            admin.execute("checkpoint")  # nobody pays for what was written before
        folder = self.folder / name
        folder.mkdir(parents=True)
        cluster = BenchCluster(self.servers, url, folder)
        try:
            yield cluster
        finally:
            cluster.close()
            postgres.drop_database(name)

    @contextmanager
    def template(self, fill: Callable[[BoundedConnection], None]) -> Iterator[str]:
        """A database with tables and data, to make sites of; gives its name."""
        name = f"bench_{next(self._numbers)}_template"
        url = self.servers.postgres.create_database(name)
        try:
            setup.setup_db(url)
            with connect(url, name="bench") as conn:
                fill(conn)
                conn.execute("vacuum analyze")
            yield name
        finally:
            self.servers.postgres.drop_database(name)


def environment_for(db_url: str, rabbitmq: str) -> dict[str, str]:
    """The environment of a process of the restaurant: ours, without what would lead it astray."""
    ours = {option.variable for option in OPTIONS}
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    return kept | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scripts'}",
        "DB_URL": db_url,
        "RABBITMQ": rabbitmq,
    }


def stop_all(processes: Collection[GuardedProcess]) -> None:
    """Ask all to end, then wait for them; who takes too long is killed."""
    for process in processes:
        process.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        process.finish(max(0.0, deadline - time.monotonic()))


def empty_broker(rabbitmq: str, more: Iterable[str] = PEER_QUEUES) -> None:
    """Remove every queue of the restaurant, and `more`; declare the restaurant's again."""
    url = Settings(rabbitmq=rabbitmq).broker_url
    broker = BrokerConnection(url, name="bench")
    with suppress(AMQPError, OSError):
        for name in (*(queue.name for queue in TOPOLOGY.queues), *more):
            broker.channel.queue_delete(name)
    broker.close()
    setup.setup_queues(url)
