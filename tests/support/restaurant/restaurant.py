"""One restaurant: a database, a broker, an order service, and the cooks a test hires."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import amqp
import kombu

from devservices import Servers, free_port

from ..waiting import TIMEOUT_FACTOR
from .conditions import eventually
from .http_client import Answer, Client
from .order_ledger import OrderLedger
from .program import STOP_S, Program
from .sample_orders import meal

QUEUES = (
    "quality_queue",
    "packaging_queue",
    "delivery_queue",
    "dead_letter_queue",
    "kitchen_queue",
    "kitchen_dine_in_queue",
    "kitchen_takeout_queue",
    "kitchen_delivery_queue",
)
LISTENERS = ("notifications_queue", "tracking_status_queue", "webhooks_queue", "dead_letter_queue")


class Restaurant:
    """Starts processes on one database and one broker, and sees them off at the end.

    Nothing runs until `open` or `hire`; `reset` and `close` also check what the
    processes wrote.
    """

    def __init__(self, servers: Servers, folder: Path, db_url: str) -> None:
        self.servers = servers
        self.db_url = db_url
        self.ledger = OrderLedger(db_url)
        self.port = free_port()
        self.client = Client(self.port)
        self.service: Program | None = None
        self.folder = folder
        self._programs: list[Program] = []
        self._started = 0

    # -- processes --------------------------------------------------------------------

    def start(self, name: str, *flags: str, database: bool = True, nohup: bool = False) -> Program:
        """Start the program with any flags; database: whether it is told of one."""
        self._started += 1
        servers = {"RABBITMQ": self.servers.rabbitmq.address}
        if database:
            servers["DB_URL"] = self.db_url
        program = Program(self.folder, f"{self._started:02}_{name}", flags, servers, nohup=nohup)
        self._programs.append(program)
        return program

    def begin(self, **options: Any) -> Program:
        """Start the order service, on the same port each time, without waiting for it."""
        usual = {"port": self.port, "max_concurrent": 0, "stations": "none"}
        flags = _flags({"mode": "order-service", **usual, **options})
        self.service = self.start("order_service", *flags)
        return self.service

    def open(self, **options: Any) -> Program:
        """Start the order service (no cap, no stations unless told); wait until it is all there."""
        service = self.begin(**options)
        service.wait_for("service_started")
        eventually(self.client.answers, 10, "the order service is ready")
        return service

    def start_cook_soon(self, name: str, cooking_time: float = 0, **options: Any) -> Program:
        """Start a cook without waiting for it."""
        flags = {
            "mode": "kitchen-worker",
            "worker_name": name,
            "cooking_time": cooking_time,
            **options,
        }
        return self.start(name, *_flags(flags))

    def start_cook(self, name: str, cooking_time: float = 0, **options: Any) -> Program:
        """Start a cook and wait until it takes orders."""
        cook = self.start_cook_soon(name, cooking_time, **options)
        cook.wait_for("worker_connected")
        return cook

    def start_cooks(
        self, names: Iterable[str], cooking_time: float = 0, **options: Any
    ) -> list[Program]:
        """Start cooks side by side and wait until all of them take orders."""
        cooks = [self.start_cook_soon(name, cooking_time, **options) for name in names]
        for cook in cooks:
            cook.wait_for("worker_connected")
        return cooks

    def track(self, *, ready: bool = True, **options: Any) -> Program:
        """Start a tracking service, and wait until it tracks."""
        flags = {"mode": "tracking-service", "watch_interval": 0.2, **options}
        tracker = self.start("tracking", *_flags(flags))
        if ready:
            tracker.wait_for("service_started")
        return tracker

    def subscribe(self, *, ready: bool = True, database: bool = False, **options: Any) -> Program:
        """Start a notification subscriber, and wait until it hears."""
        flags = _flags({"mode": "notification-subscriber", **options})
        subscriber = self.start("subscriber", *flags, database=database)
        if ready:
            subscriber.wait_for("subscribed")
        return subscriber

    # -- clients ----------------------------------------------------------------------

    def place(self, kind: str = "takeout", **fields: Any) -> str:
        """Place an order that is taken: its number."""
        answer = self.client.order(meal(kind, **fields))
        assert answer.status == 201, answer
        return str(answer.document["order_number"])

    def place_document(self, order: dict[str, Any]) -> dict[str, Any]:
        """Place an order that is taken: the answer."""
        answer = self.client.order(order)
        assert answer.status == 201, answer
        return dict(answer.document)

    def publish(self, exchange: str, routing_key: str, body: object, **properties: Any) -> None:
        """Write to an exchange as any other program would."""
        with kombu.Connection(self.servers.rabbitmq.url) as link:
            message = amqp.Message(json.dumps(body).encode(), **properties)
            link.channel().basic_publish(message, exchange, routing_key)

    def dead_letters(self, count: int, seconds: float = 10) -> list[dict[str, Any]]:
        """The headers of the dead letters, once there are so many; they are taken away."""
        found: list[dict[str, Any]] = []
        with kombu.Connection(self.servers.rabbitmq.url) as link:
            channel = link.channel()

            def enough() -> bool:
                while message := channel.basic_get("dead_letter_queue", no_ack=True):
                    found.append(dict(message.properties["application_headers"]))
                return len(found) >= count

            eventually(enough, seconds, f"{count} dead letters")
        return found

    def serves_again(self, seconds: float = 10) -> None:
        """Wait until requests are answered one after the other, as before an outage."""
        eventually(
            lambda: all(self.client.answers() for _ in range(20)), seconds, "requests are answered"
        )

    def rush(self, meals: Collection[dict[str, Any]], clients: int | None = None) -> list[Answer]:
        """Place orders at the same time, with one client for each order by default."""
        with ThreadPoolExecutor(clients or len(meals)) as crowd:
            return list(crowd.map(self.client.order, meals))

    def place_in_turn(self, meals: Iterable[dict[str, Any]]) -> list[str]:
        """Place orders one after the other, so that their ages are beyond doubt: their numbers."""
        answers = [self.client.order(meal) for meal in meals]
        assert {answer.status for answer in answers} == {201}, answers
        return [answer.document["order_number"] for answer in answers]

    def place_all(self, meals: Collection[dict[str, Any]]) -> list[str]:
        """Place orders that are all taken, eight at a time: their numbers."""
        answers = self.rush(meals, clients=8)
        assert {answer.status for answer in answers} == {201}, answers
        return [answer.document["order_number"] for answer in answers]

    def worker(self, name: str) -> dict[str, Any]:
        """What /workers/status says of one worker."""
        answer = self.client.get("/workers/status")
        assert answer.status == 200, answer
        return next(worker for worker in answer.document if worker["worker_name"] == name)

    def unacknowledged(self) -> int:
        """How many kitchen messages are in the hands of cooks, by the broker's own account."""
        listed = self.servers.rabbitmq.ctl("list_queues", "name", "messages_unacknowledged")
        counts = dict(line.split() for line in listed.splitlines() if line.count("\t") == 1)
        return sum(int(counts[queue]) for queue in QUEUES)

    def empty_queues(self) -> None:
        """Take all messages out of the restaurant's queues."""
        with kombu.Connection(self.servers.rabbitmq.url) as link:
            for queue in (*QUEUES, *LISTENERS):
                link.channel().queue_purge(queue)

    # -- the end ----------------------------------------------------------------------

    def reset(self) -> None:
        """Send the cooks home, close the books, and leave the order service open."""
        cooks = [each for each in self._programs if each is not self.service]
        self._programs = [each for each in self._programs if each is self.service]
        try:
            self._see_off(cooks)
            self.ledger.check_all_ready()
        finally:
            self.ledger.forget()
            self.empty_queues()

    def close(self) -> None:
        """End all processes and look at all they wrote."""
        try:
            self._see_off(self._programs)
        finally:
            self.ledger.close()

    def _see_off(self, programs: list[Program]) -> None:
        for program in programs:
            program.thaw()
            program.terminate()
        for program in programs:
            program.process.finish(TIMEOUT_FACTOR * STOP_S)
        for program in programs:
            program.check_end()


def _flags(options: dict[str, Any]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
