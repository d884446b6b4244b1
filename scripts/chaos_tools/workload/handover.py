"""Hands dine-in and takeout orders over."""

from contextlib import AbstractContextManager, suppress

import psycopg

from chaos_tools.cluster import ChaosCluster
from devservices import repeating
from supervisor.api_client import ApiClient, ApiError

CLERK = "chaos_clerk"
POLL_SECONDS = 0.3
TIMEOUT_SECONDS = 2.0
_WAITING = "select number from orders where stage = 'handover' and status = 'ready' order by number"


def hand_over_orders(cluster: ChaosCluster) -> AbstractContextManager[None]:
    """Hand over what is ready, in a thread, for the time of a block."""
    client = ApiClient(cluster.port)

    def hand_over() -> None:
        # The service or the database may be away; the next round repeats what failed.
        with suppress(ApiError, psycopg.Error):
            for (number,) in cluster.rows(_WAITING):
                client.post(f"/orders/{number}/deliver", {"by": CLERK}, TIMEOUT_SECONDS)

    return repeating(hand_over, POLL_SECONDS)
