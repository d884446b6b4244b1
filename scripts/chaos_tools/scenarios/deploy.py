"""An upgrade under load: every process is restarted, and no order is refused."""

import time
from http import HTTPStatus
from itertools import cycle
from random import Random
from uuid import UUID

from chaos_tools.cluster import ChaosCluster
from chaos_tools.scenario import scenario
from chaos_tools.workload.external_messages import takeout_order
from devservices import repeating
from supervisor.api_client import HTTP_ERRORS, ApiClient

PAUSE_SECONDS = 0.5
ORDER_SECONDS = 0.2
TIMEOUT_SECONDS = 10.0
TRIES = 2


class RetryingClient:
    """A client that repeats a failed request once."""

    def __init__(self, port: int, random: Random) -> None:
        self.orders = self.repeated = 0
        self.failed: list[str] = []
        self._client = ApiClient(port)
        self._random = random

    def place_order(self) -> None:
        """Place one order, with at most TRIES requests."""
        key = str(UUID(int=self._random.getrandbits(128), version=4))
        self.orders += 1
        reasons: list[str] = []
        while len(reasons) < TRIES and (reason := self._order(key)):
            reasons.append(reason)
            time.sleep(PAUSE_SECONDS)
        self.repeated += bool(reasons)
        if len(reasons) == TRIES:
            self.failed.append(f"{key}: {', then '.join(reasons)}")

    def _order(self, key: str) -> str:
        """What was wrong; nothing if the order was accepted."""
        order = takeout_order(f"Patient {key}")
        try:
            status = self._client.request("POST", "/orders", order, key, TIMEOUT_SECONDS).status
        except HTTP_ERRORS as error:
            return type(error).__name__
        return "" if status == HTTPStatus.CREATED else str(status)


# Clients may have to repeat a request once, so their answers are checked here.
@scenario(
    "every process is stopped by SIGTERM and restarted, one after the other", expect_no_errors=False
)
def rolling_restart(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """A new order service starts before the old one stops. No request fails more than once."""
    names = random.sample(list(cluster.processes), len(cluster.processes))
    names.sort(key=lambda name: name != "service")
    until = time.monotonic() + seconds
    client = RetryingClient(cluster.port, random)
    with repeating(client.place_order, ORDER_SECONDS):
        for turn, name in enumerate(cycle(names)):
            if turn and time.monotonic() > until:
                break
            cluster.restart(name)
            cluster.report.record_attempt(True)
    print(f"  {client.orders} orders with one retry each; that was needed {client.repeated} times.")
    for request in client.failed:
        cluster.report.fail(f"failed twice: {request}")
