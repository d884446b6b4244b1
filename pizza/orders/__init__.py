"""Orders: placed, changed, listed; and the messages about them."""

from pizza.orders.actions import transition_order
from pizza.orders.replies import send_reply
from pizza.orders.status_messages import (
    NUMBER_LENGTH,
    StatusMessage,
    read_status,
    read_status_message,
    read_text,
)
from pizza.orders.storage import set_capacity

__all__ = [
    "NUMBER_LENGTH",
    "StatusMessage",
    "read_status",
    "read_status_message",
    "read_text",
    "send_reply",
    "set_capacity",
    "transition_order",
]
