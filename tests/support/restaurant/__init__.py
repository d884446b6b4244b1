"""What acceptance tests stand on: real processes, a client, the books, a tap on the broker."""

from .amqp_tap import Tap
from .conditions import eventually, stays
from .http_client import Answer, Client
from .order_ledger import Ledger, LogRow
from .program import Program
from .restaurant import Restaurant
from .sample_orders import meal

__all__ = [
    "Answer",
    "Client",
    "Ledger",
    "LogRow",
    "Program",
    "Restaurant",
    "Tap",
    "eventually",
    "meal",
    "stays",
]
