"""The restaurant's exchanges and queues, as data. Names and properties are specified."""

from __future__ import annotations

from kombu import Exchange, Queue, binding

from pizza.domain.stations import STATIONS
from pizza.taskqueue.topology import DEAD_LETTER_QUEUE, Topology

MAX_PRIORITY = 10
_KITCHEN = {"x-max-priority": MAX_PRIORITY}

ORDERS_TOPIC = "orders_topic"
ORDERS_DIRECT = "orders_direct"
NOTIFICATIONS_FANOUT = "notifications_fanout"
UNROUTED = "orders_unrouted"

KITCHEN_QUEUE = "kitchen_queue"
TYPED_QUEUES = {
    "dine-in": "kitchen_dine_in_queue",
    "takeout": "kitchen_takeout_queue",
    "delivery": "kitchen_delivery_queue",
}
NOTIFICATIONS_QUEUE = "notifications_queue"
TRACKING_STATUS_QUEUE = "tracking_status_queue"
TRACKING_STATUS_KEY = "tracking.status"
WEBHOOKS_QUEUE = "webhooks_queue"
_SUBSCRIBERS = "notifications"
STATION_QUEUES = tuple(station.queue for station in STATIONS)

# What orders_topic cannot route falls through this exchange into kitchen_queue.
_unrouted = Exchange(UNROUTED, type="fanout", durable=True)
_topic = Exchange(
    ORDERS_TOPIC, type="topic", durable=True, arguments={"alternate-exchange": UNROUTED}
)
_direct = Exchange(ORDERS_DIRECT, type="direct", durable=True)
_fanout = Exchange(NOTIFICATIONS_FANOUT, type="fanout", durable=True)


def _typed(order_type: str, name: str) -> Queue:
    bindings = [
        binding(_topic, routing_key=f"kitchen.{order_type}.*"),
        binding(_direct, routing_key=f"kitchen.{order_type}"),
    ]
    return Queue(name, bindings=bindings, durable=True, queue_arguments=_KITCHEN)


NOTIFICATIONS = Queue(NOTIFICATIONS_QUEUE, _fanout, durable=True, auto_delete=False)
TRACKING_STATUS = Queue(
    TRACKING_STATUS_QUEUE, _direct, routing_key=TRACKING_STATUS_KEY, durable=True
)

TOPOLOGY = Topology(
    exchanges=(_unrouted, _topic, _direct, _fanout),
    queues=(
        Queue(
            KITCHEN_QUEUE,
            bindings=[binding(_unrouted), binding(_direct, routing_key="kitchen.order")],
            durable=True,
            queue_arguments=_KITCHEN,
        ),
        *(_typed(order_type, name) for order_type, name in TYPED_QUEUES.items()),
        *(Queue(name, durable=True, queue_arguments=_KITCHEN) for name in STATION_QUEUES),
        NOTIFICATIONS,
        TRACKING_STATUS,
        Queue(WEBHOOKS_QUEUE, durable=True),
    ),
)


_OUR_QUEUES = frozenset(
    {*(queue.name for queue in TOPOLOGY.queues), DEAD_LETTER_QUEUE, _SUBSCRIBERS}
)
# Queues that RabbitMQ names for clients, and its direct reply-to.
_CLIENT_QUEUES = ("amq.gen-", "amq.rabbitmq.reply-to")


def is_ours(queue: str) -> bool:
    """Whether a queue is the restaurant's, and so no place for answers to other programs.

    Also true for the server's own names (`amq.…`) that are no queues of clients.
    """
    return (
        queue in _OUR_QUEUES
        or queue.startswith(f"{_SUBSCRIBERS}.")
        or (queue.startswith("amq.") and not queue.startswith(_CLIENT_QUEUES))
    )


def kitchen_queues(order_types: tuple[str, ...]) -> list[str]:
    """The queues a cook serves: those of its order types, or all with the catch-all."""
    if set(order_types) == set(TYPED_QUEUES):
        return [*TYPED_QUEUES.values(), KITCHEN_QUEUE]
    return [TYPED_QUEUES[each] for each in dict.fromkeys(order_types)]


def subscriber_queue(name: str | None) -> Queue:
    """A notification subscriber's own queue: kept while it is away if it has a name."""
    if name:
        return Queue(f"{_SUBSCRIBERS}.{name}", _fanout, durable=True)
    return Queue(_SUBSCRIBERS, _fanout, durable=False, exclusive=True)
