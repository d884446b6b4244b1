"""`/metrics` for Prometheus, read from the database at each scrape.

So every HTTP worker, and every order service, tells the same; nothing is counted in a process that
may die. No order number, no name of a guest is a label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from pizza.database.errors import DatabaseUnavailable
from pizza.storage import metrics as storage
from pizza.storage.metrics import Sample
from pizza.web import docs
from pizza.web.backend import DATABASE_SECONDS, Backend

TAG = Tag(name="health", description="For load balancers and people")

_HELP = {
    "orders_today": "Orders that came today (UTC), by type, priority and status",
    "orders_stuck": "Orders that wait or cook far beyond their estimate",
    "messages": "Messages on their way: scheduled (not due yet), pending (to be published), "
    "sent (waiting in their queue), claimed (at work)",
    "messages_tried_again": "Tasks under way whose first attempt failed",
    "outbox_lag_seconds": "How long the first message to be published has been waiting",
    "worker_online": "1 for a worker at work, 0 for one that is gone",
    "worker_orders": "Orders that a worker has finished",
    "waiting_seconds_average": "Mean wait for a cook of the newest 5,000 orders, by priority",
    "waiting_seconds_p90": "90th percentile of that wait",
    "cooking_seconds_average": "Mean cooking time of the latest orders, by type",
    "kitchen_paused": "1 while the kitchen takes no orders",
    "database_up": "1 when the database answers",
    "broker_up": "0 when the relay that leads here cannot reach the broker",
    "relay_leading": "1 when the relay of this process publishes, 0 when it stands by or cannot",
}
_COUNTERS = frozenset({"worker_orders"})


class _Samples:
    """A collector of what was read a moment ago."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = sorted(samples, key=lambda sample: sample.name)

    def collect(self) -> Iterator[Metric]:
        for name, group in groupby(self._samples, key=lambda sample: sample.name):
            found = list(group)
            labels = list(found[0].labels)
            kind = CounterMetricFamily if name in _COUNTERS else GaugeMetricFamily
            family = kind(f"pizza_{name}", _HELP[name], labels=labels)
            for sample in found:
                family.add_metric([sample.labels[label] for label in labels], sample.value)
            yield family


def register(app: OpenAPI, backend: Backend) -> None:
    """Add the view to `app`."""

    @app.get(
        "/metrics",
        tags=[TAG],
        summary="Figures for Prometheus, in its text format",
        operation_id="metrics",
        responses={200: docs.plain("text/plain", "pizza_database_up 1.0\n"), **docs.problems()},
    )
    def metrics() -> Response:
        registry = CollectorRegistry()
        registry.register(_Samples([*_of_this_process(backend), *_of_the_database(backend)]))
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _of_this_process(backend: Backend) -> list[Sample]:
    relay = backend.relay_state()
    return [
        Sample("relay_leading", {}, float(relay.startswith("leading"))),
        Sample("broker_up", {}, float("broker away" not in relay)),
    ]


def _of_the_database(backend: Backend) -> list[Sample]:
    """A scrape without the database still says so: that is what one is paged for."""
    try:
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return [*storage.samples(conn), Sample("database_up", {}, 1.0)]
    except DatabaseUnavailable:
        return [Sample("database_up", {}, 0.0)]
