"""The counter, where dine-in and takeout orders are handed over: somebody always stands there."""

import threading
from contextlib import suppress

import psycopg

from chaos_tools.cluster import ChaosCluster
from supervisor.api_client import ApiClient, ApiError

DESK = "chaos_desk"
LOOK_SECONDS = 0.3
PATIENCE_SECONDS = 2.0
_WAITING = "select number from orders where stage = 'handover' and status = 'ready' order by number"


class HandoverClerk:
    """Hands over what is ready; what could not be said to the order service is said again."""

    def __init__(self, cluster: ChaosCluster) -> None:
        """Nobody stands there yet."""
        self._cluster = cluster
        self._client = ApiClient(cluster.port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counter", daemon=True)

    def __enter__(self) -> "HandoverClerk":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            # The service, or the database, may be away; the next look tells what is still to do.
            with suppress(ApiError, psycopg.Error):
                for (number,) in self._cluster.rows(_WAITING):
                    if self._over.is_set():
                        return
                    self._client.post(f"/orders/{number}/deliver", {"by": DESK}, PATIENCE_SECONDS)
