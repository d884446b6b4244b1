"""Clients that order steadily, and repeat each request until it is answered."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import Any
from uuid import UUID

from benchmarks.sample_orders import WHERE
from supervisor.api_client import HTTP_ERRORS, ApiClient

CLIENTS = 48
BURST_CLIENTS = 8
TIMEOUT_SECONDS = 150.0
PAUSE_SECONDS = 0.3
NO_ANSWER = 0
# 409: the first request with this key is not finished.
REPEATABLE = (None, NO_ANSWER, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Response:
    """status: the HTTP status, 0 for none. seconds: until it was there, or given up."""

    status: int
    seconds: float
    timed_out: bool = False


def new_key(random: Random) -> str:
    """An Idempotency-Key, the same ones for the same seed."""
    return str(UUID(int=random.getrandbits(128), version=4))


class OrderGenerator:
    """Sends orders at a rate; `accepted` has the numbers of those that were answered with 201.

    failures: orders that could not be placed at all; unanswered: those that were not sent again
    after their answer was lost.
    """

    def __init__(self, port: int, random: Random, rate: float, retry_unanswered: bool) -> None:
        """Sends nothing yet.

        retry_unanswered: whether an order whose answer was lost is sent again with its
        Idempotency-Key. Off, it is counted as unanswered, as for an order service that does not
        know the header.
        """
        self.accepted: list[str] = []
        self.failures: list[str] = []
        self.responses: list[Response] = []
        self.unanswered = 0
        self._client = ApiClient(port)
        self._random = random
        self._pause = 1 / rate
        self._retry_unanswered = retry_unanswered
        self._over = threading.Event()
        self._aborted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clients", daemon=True)

    def start(self) -> None:
        """Start to order."""
        self._thread.start()

    def stop(self) -> None:
        """Place no more, and wait for the answers that are due."""
        self._over.set()
        self._thread.join()

    def abort(self) -> None:
        """Do not wait for answers any longer."""
        self._aborted.set()
        self._over.set()

    def burst(self, count: int) -> None:
        """Place so many more orders, as fast as they are accepted."""
        with ThreadPoolExecutor(BURST_CLIENTS) as pool:
            wait([self._place(pool.submit) for _ in range(count)])

    def place_order_at(self, port: int) -> str:
        """Place one order at another order service, which has to take it: its number."""
        client = ApiClient(port)
        number = str(client.post("/orders", self._meal(new_key(self._random)))["order_number"])
        self.accepted.append(number)
        return number

    def _run(self) -> None:
        due = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as pool:
            while not self._over.wait(max(0.0, due - time.monotonic())):
                due += self._pause
                self._place(pool.submit)

    def _place(self, submit: Callable[..., Future[None]]) -> Future[None]:
        key = new_key(self._random)
        return submit(self._order, key, self._meal(key))

    def _meal(self, key: str) -> dict[str, Any]:
        """An order of a customer with only this one: a second one would be a double."""
        item = {"name": "Margherita", "quantity": self._random.randint(1, 8), "price": 9.5}
        kind = self._random.choice(list(WHERE))
        rush = self._random.random() < 0.1
        order = {"customer_name": f"Guest {key}", "items": [item], "rush": rush}
        return {**order, "order_type": kind, **WHERE[kind]}

    def _order(self, key: str, meal: dict[str, Any]) -> None:
        """Repeat the request until the order is accepted, or cannot be."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            status, document = self._ask(key, meal)
            if status == HTTPStatus.CREATED:
                self.accepted.append(document["order_number"])
                return
            if status == NO_ANSWER and not self._retry_unanswered:
                self.unanswered += 1
                return
            if status not in REPEATABLE or time.monotonic() > deadline or self._aborted.is_set():
                self.failures.append(f"order of {key}: {status or 'no answer'} {document}")
                return
            time.sleep(PAUSE_SECONDS)

    def _ask(self, key: str, meal: dict[str, Any]) -> tuple[int | None, Any]:
        """One try: the status and the document, or NO_ANSWER or None (no connection) and why."""
        began = time.monotonic()
        try:
            response = self._client.request("POST", "/orders", meal, key)
        except ConnectionRefusedError as error:
            return None, error
        except HTTP_ERRORS as error:
            seconds, timed_out = time.monotonic() - began, isinstance(error, TimeoutError)
            self.responses.append(Response(NO_ANSWER, seconds, timed_out))
            return NO_ANSWER, error
        self.responses.append(Response(response.status, response.seconds))
        return response.status, response.document
