"""Hands dine-in and takeout orders over."""

import threading
from contextlib import suppress

import psycopg

from chaos_tools.cluster import ChaosCluster
from supervisor.api_client import ApiClient, ApiError

CLERK = "chaos_clerk"
POLL_SECONDS = 0.3
TIMEOUT_SECONDS = 2.0
_WAITING = "select number from orders where stage = 'handover' and status = 'ready' order by number"


class HandoverClerk:
    """Hands over what is ready, in a thread; a failed request is repeated."""

    def __init__(self, cluster: ChaosCluster) -> None:
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
        while not self._over.wait(POLL_SECONDS):
            # The service or the database may be away; the next round repeats what failed.
            with suppress(ApiError, psycopg.Error):
                for (number,) in self._cluster.rows(_WAITING):
                    if self._over.is_set():
                        return
                    self._client.post(f"/orders/{number}/deliver", {"by": CLERK}, TIMEOUT_SECONDS)
