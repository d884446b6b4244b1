"""`/metrics` for Prometheus, read from the database at each scrape.

So every HTTP worker of every order service reports the same, and no counter is lost with a process.
Labels contain no order numbers and no names of customers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from flask import Response
from flask_openapi3.openapi import OpenAPI
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from pizza.database.errors import DatabaseUnavailable
from pizza.reports import storage
from pizza.reports.storage import Histogram, Sample
from pizza.web import openapi
from pizza.web.api.health import TAG
from pizza.web.dependencies import Dependencies

HELP = {
    "orders": "Orders that have become `status`, counted by the tracking service; one that was "
    "sent back is received twice",
    "waiting_seconds": "From received to cooking, counted by the tracking service",
    "cooking_seconds": "From cooking to ready, counted by the tracking service",
    "retries": "Attempts of tasks that failed and were tried again, by queue",
    "postponements": "Attempts postponed because no worker could have completed them, by queue",
    "dead_letters": "Messages that became dead letters, by the queue they died in",
    "dead_messages": "Dead messages that are neither retried nor dropped yet",
    "events_unroutable": "Events that were dropped because no queue is bound for them, by exchange",
    "queue_depth": "Messages ready in a queue of the broker, as the leading relay saw it; absent "
    "while nobody can look",
    "queue_consumers": "Consumers of that queue",
    "relay_beat_age_seconds": "Since when no relay has said that it leads",
    "kitchen_capacity_free": "Places that are free in the kitchen; absent without a cap",
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
    "broker_up": "0 while the process that publishes cannot reach RabbitMQ; absent while none does",
    "broker_blocked": "1 while RabbitMQ takes no messages, as it is short of memory or disk space",
    "relay_leading": "1 when the relay of this process publishes, 0 when it stands by or cannot",
}
COUNTERS = frozenset(
    {"worker_orders", "orders", "retries", "postponements", "dead_letters", "events_unroutable"}
)
HISTOGRAMS = frozenset({"waiting_seconds", "cooking_seconds"})


class _Samples:
    """A Prometheus collector of samples that were read before."""

    def __init__(self, samples: Iterable[Sample], histograms: Iterable[Histogram]) -> None:
        self._histograms = sorted(histograms, key=lambda each: each.name)
        self._samples = sorted(samples, key=lambda sample: sample.name)

    def collect(self) -> Iterator[Metric]:
        for name, group in groupby(self._samples, key=lambda sample: sample.name):
            found = list(group)
            labels = list(found[0].labels)
            kind = CounterMetricFamily if name in COUNTERS else GaugeMetricFamily
            family = kind(f"pizza_{name}", HELP[name], labels=labels)
            for sample in found:
                family.add_metric([sample.labels[label] for label in labels], sample.value)
            yield family
        for name, timed in groupby(self._histograms, key=lambda each: each.name):
            yield _histogram(name, list(timed))


def _histogram(name: str, found: list[Histogram]) -> Metric:
    labels = list(found[0].labels)
    family = HistogramMetricFamily(f"pizza_{name}", HELP[name], labels=labels)
    for each in found:
        buckets = [
            ("+Inf" if bound is None else str(float(bound)), number)
            for bound, number in each.buckets
        ]
        family.add_metric([each.labels[label] for label in labels], buckets, each.seconds)
    return family


def register(app: OpenAPI, dependencies: Dependencies) -> None:
    """Add the view to `app`."""

    @app.get(
        "/metrics",
        tags=[TAG],
        summary="Figures for Prometheus, in its text format",
        responses={
            200: openapi.text_response("text/plain", "pizza_database_up 1.0\n"),
            **openapi.problems(),
        },
    )
    def metrics() -> Response:
        registry = CollectorRegistry()
        samples, histograms = _database_samples(dependencies)
        is_leading = dependencies.relay_state().startswith("leading")
        samples.append(Sample("relay_leading", {}, float(is_leading)))
        registry.register(_Samples(samples, histograms))
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _database_samples(dependencies: Dependencies) -> tuple[list[Sample], list[Histogram]]:
    """Samples of the database; without it `database_up` is 0."""
    try:
        with dependencies.connection() as conn:
            samples = [*storage.list_samples(conn), Sample("database_up", {}, 1.0)]
            return samples, storage.list_histograms(conn)
    except DatabaseUnavailable:
        return [Sample("database_up", {}, 0.0)], []
