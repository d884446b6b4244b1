"""What acceptance tests stand on: real processes, a client, the books, a tap on the broker."""

from .client import Answer, Client
from .ledger import Ledger, LogRow
from .meals import meal
from .program import Program
from .restaurant import Restaurant
from .tap import Tap
from .waiting import eventually, stays

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
