"""Refusals of the restaurant: one class for each reason; each message is a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field: its path (`items[0].price`; empty: the whole document) and what is wrong."""

    field: str
    message: str


class DomainError(Exception):
    """Base class of all refusals."""


class InvalidOrder(DomainError):
    """The order breaks at least one rule; `errors` has one entry for each bad field."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = list(errors)
        reasons = "; ".join(
            f"{e.field}: {e.message}" if e.field else e.message for e in self.errors
        )
        super().__init__(f"The order is not valid: {reasons}")


class PricesDiffer(InvalidOrder):
    """The menu has other prices, or lacks a dish; `errors` has the field and the menu's price."""


class InvalidRequest(DomainError):
    """A staff request with at least one bad field; `errors` has one entry for each."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = list(errors)
        reasons = "; ".join(f"{e.field} {e.message}" for e in self.errors)
        super().__init__(f"The request is not valid: {reasons}.")


class NotFound(DomainError):
    """Base class: nothing has this number, name or id."""

    sentence: ClassVar[str]

    def __init__(self, name: str) -> None:
        super().__init__(self.sentence.format(name))


class OrderNotFound(NotFound):
    """No order has this number."""

    sentence = "There is no order {}."


class CapacityReached(DomainError):
    """`limit` orders are received or cooking; retry in `retry_after_seconds`."""

    retry_after_seconds = 5

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"The restaurant takes {limit} orders at a time and is full.")


class ClientLimitReached(DomainError):
    """This client has `limit` orders received or cooking; retry in `retry_after_seconds`.

    network: all clients of its network together have them.
    """

    retry_after_seconds = 5

    def __init__(self, limit: int, *, network: bool = False) -> None:
        self.limit = limit
        here, most = ("this network", "one network") if network else ("here", "one client")
        super().__init__(
            f"From {here} {limit} orders are waiting or cooking already, which is the most that "
            f"{most} may have."
        )


class StaffKeyNotFound(NotFound):
    """No staff key has this id."""

    sentence = "There is no staff key {!r}."


class SessionNotFound(NotFound):
    """No session has an id with this prefix, or more than one has."""

    sentence = "There is no one session {!r}."


class WebhookNotFound(NotFound):
    """No webhook has this id."""

    sentence = "There is no webhook {!r}."


class WebhookDeliveryNotFound(NotFound):
    """The webhook has no delivery with this id; it may have been pruned."""

    sentence = "This webhook has no delivery {!r}."


class WebhookDisabled(DomainError):
    """Nothing is sent to the webhook; enable it first."""

    def __init__(self, webhook_id: int) -> None:
        super().__init__(f"Webhook {webhook_id} is disabled; enable it first.")


class Unauthenticated(DomainError):
    """A key or token is required; `errors` has the fields that require one."""

    def __init__(self, sentence: str, errors: Sequence[FieldError] = ()) -> None:
        self.errors = list(errors)
        super().__init__(sentence)


class InvalidCredential(DomainError):
    """The credential is neither a valid staff key nor the tracking token of an order."""

    def __init__(self) -> None:
        super().__init__("This key or token is unknown, or no longer valid.")


class Forbidden(DomainError):
    """The principal may not do this; `errors` has the fields that it may not set."""

    def __init__(self, sentence: str, errors: Sequence[FieldError] = ()) -> None:
        self.errors = list(errors)
        super().__init__(sentence)


class IllegalTransition(DomainError):
    """An order in `current` cannot become `wanted`; `allowed`: the statuses it can get.

    sentence: the message, if `wanted` is not a status.
    """

    def __init__(
        self, current: str, wanted: str, allowed: Sequence[str], sentence: str | None = None
    ) -> None:
        self.current = current
        self.allowed = tuple(allowed)
        choices = f", only {', '.join(self.allowed)}" if self.allowed else ""
        super().__init__(sentence or f"An order that is {current} cannot become {wanted}{choices}.")


class KitchenPaused(DomainError):
    """The intake of orders is paused; retry in `retry_after_seconds`."""

    retry_after_seconds = 30

    def __init__(self, reason: str | None = None) -> None:
        why = f": {reason}" if reason else ""
        super().__init__(f"The kitchen takes no orders at the moment{why}.")


class SoldOut(DomainError):
    """Items of the order are sold out; names: their names on the menu, joined by commas."""

    def __init__(self, names: str) -> None:
        super().__init__(f"Sold out today: {names}.")


class DuplicateOrder(DomainError):
    """The message has become the order `number` before; nothing was stored."""

    def __init__(self, number: str) -> None:
        self.number = number
        super().__init__(f"This message has become order {number} before.")


class IdempotencyKeyReused(DomainError):
    """An order was placed with this key and another body."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used before, with another body.")


class IdempotencyConflict(DomainError):
    """A request with this key is still being processed; retry in `retry_after_seconds`."""

    retry_after_seconds = 1

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is being answered right now.")


class ReasonRequired(DomainError):
    """The change is permitted only with a reason."""

    def __init__(self, current: str, wanted: str) -> None:
        super().__init__(f"An order that is {current} becomes {wanted} only with a reason.")


class VersionConflict(DomainError):
    """The order has version `current`, not `expected`; read it again before changing it."""

    def __init__(self, number: str, expected: int, current: int) -> None:
        self.current = current
        super().__init__(f"Order {number} has changed: it has version {current}, not {expected}.")


class CustomerNotFound(NotFound):
    """Neither the orders nor the staff's entries have a customer of this name."""

    sentence = "There is no customer {!r}."


class CustomerHasOrders(DomainError):
    """These orders of the customer are still open, so the name is still needed."""

    def __init__(self, orders: Sequence[str]) -> None:
        super().__init__(
            f"These orders have not ended: {', '.join(orders)}. Deliver or cancel them, and "
            "erase the customer then."
        )


class DishNotFound(NotFound):
    """The menu has no such dish."""

    sentence = "There is no {!r} on the menu."


class InvalidSpecialities(DomainError):
    """`words` are neither order types nor tags of the menu (`known`)."""

    def __init__(self, words: Sequence[str], known: Sequence[str]) -> None:
        named = ", ".join(repr(word) for word in words)
        super().__init__(f"--order-types (ORDER_TYPES) knows {', '.join(known)}, not {named}.")
