"""Guests who order steadily, and ask again until they are answered."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from random import Random
from typing import Any
from uuid import UUID

from client import AnswerLost, ApiError, Client, Refused

RETRY_UNANSWERED = True
"""Whether an order whose answer was lost is sent again with its Idempotency-Key. Off, it is counted
as unanswered, as for an order service that does not know the header."""

GUESTS = 48
PATIENCE_SECONDS = 150.0
PAUSE_SECONDS = 0.3
KINDS: tuple[dict[str, Any], ...] = (
    {"order_type": "takeout"},
    {"order_type": "dine-in", "table_number": 5},
    {"order_type": "delivery", "delivery_address": "12 Main Street"},
)


class Clients:
    """Sends orders at a rate; `accepted` has the numbers of those that were answered with 201."""

    def __init__(
        self, port: int, random: Random, rate: float, retry_unanswered: bool = RETRY_UNANSWERED
    ) -> None:
        """Nobody orders yet."""
        self.accepted: list[str] = []
        self.failures: list[str] = []
        self.unanswered = 0
        self.placed = 0
        self._client = Client(port, self._check)
        self._random = random
        self._pause = 1 / rate
        self._retry_unanswered = retry_unanswered
        self._over = threading.Event()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clients", daemon=True)

    def start(self) -> None:
        """Begin to order."""
        self._thread.start()

    def stop(self) -> None:
        """Place no more, and wait for the answers that are due."""
        self._over.set()
        self._thread.join()

    def give_up(self) -> None:
        """Do not wait for answers any longer."""
        self._given_up.set()
        self._over.set()

    def _run(self) -> None:
        due = time.monotonic()
        with ThreadPoolExecutor(GUESTS) as pool:
            while not self._over.wait(max(0.0, due - time.monotonic())):
                due += self._pause
                self.placed += 1
                key = str(UUID(int=self._random.getrandbits(128), version=4))
                pool.submit(self._order, key, self._meal(key))

    def _meal(self, key: str) -> dict[str, Any]:
        """An order of a guest who never comes again: more than one of his would be a double."""
        item = {"name": "Margherita", "quantity": self._random.randint(1, 8), "price": 9.5}
        kind = self._random.choice(KINDS)
        rush = self._random.random() < 0.1
        return {"customer_name": f"Guest {key}", "items": [item], "rush": rush, **kind}

    def _order(self, key: str, meal: dict[str, Any]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self._client.post("/orders", meal, deadline - time.monotonic(), key)
                self.accepted.append(answer["order_number"])
                return
            except AnswerLost:
                if not self._retry_unanswered or time.monotonic() > deadline:
                    self.unanswered += 1
                    return
            except Refused as error:
                # The first request with this key is still at work.
                if error.status != HTTPStatus.CONFLICT or time.monotonic() > deadline:
                    self.failures.append(str(error))
                    return
            except ApiError as error:
                self.failures.append(str(error))
                return
            time.sleep(PAUSE_SECONDS)

    def _check(self) -> None:
        if self._given_up.is_set():
            raise ApiError("The storm is over.")
