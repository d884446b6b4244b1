"""What acceptance tests stand on: real processes, a client, the books, a tap on the broker."""

from .amqp_tap import AmqpTap
from .conditions import eventually, stays
from .http_client import Answer, Client
from .order_ledger import LogRow, OrderLedger
from .program import Program
from .restaurant import Restaurant
from .sample_orders import meal

__all__ = [
    "AmqpTap",
    "Answer",
    "Client",
    "LogRow",
    "OrderLedger",
    "Program",
    "Restaurant",
    "eventually",
    "meal",
    "stays",
]
