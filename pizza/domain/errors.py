"""What the restaurant may refuse, one class for each reason; each message is a sentence for people.

DomainError
├── InvalidOrder       the order breaks rules; one FieldError for each bad field
├── OrderNotFound      nobody placed an order of this number
├── RestaurantFull     as many orders as the restaurant takes at a time are waiting or cooking
├── IllegalTransition  the state machine does not lead from here to there
├── ReasonMissing      the move has to be explained, and is not
├── WorkerNameTaken    a worker of this name is at work
└── TooManyWorkers     every place in the kitchen is taken
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field: where it is (`items[0].price`; empty: everywhere) and what is wrong."""

    field: str
    message: str


class DomainError(Exception):
    """Root of everything the restaurant refuses on purpose."""


class InvalidOrder(DomainError):
    """The order breaks at least one rule; `errors` has one entry for each bad field."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = list(errors)
        reasons = "; ".join(
            f"{e.field}: {e.message}" if e.field else e.message for e in self.errors
        )
        super().__init__(f"The order is not valid: {reasons}")


class OrderNotFound(DomainError):
    """No order has this number."""

    def __init__(self, number: str) -> None:
        self.number = number
        super().__init__(f"There is no order {number}.")


class RestaurantFull(DomainError):
    """`limit` orders are waiting or cooking; try again in `retry_after_seconds`."""

    def __init__(self, limit: int, retry_after_seconds: int = 5) -> None:
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"The restaurant takes {limit} orders at a time and is full.")


class IllegalTransition(DomainError):
    """An order in `current` cannot become `wanted`; `allowed` says what it can become."""

    def __init__(self, current: str, wanted: str, allowed: Sequence[str]) -> None:
        self.current = current
        self.wanted = wanted
        self.allowed = tuple(allowed)
        choices = ", ".join(self.allowed) or "nothing else"
        super().__init__(f"An order that is {current} cannot become {wanted}, only {choices}.")


class ReasonMissing(DomainError):
    """An order in `current` may become `wanted`, but only with a reason."""

    def __init__(self, current: str, wanted: str) -> None:
        self.current = current
        self.wanted = wanted
        super().__init__(f"An order that is {current} becomes {wanted} only with a reason.")


class WorkerNameTaken(DomainError):
    """A live worker has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"A worker named {name!r} is already at work; choose another name.")


class TooManyWorkers(DomainError):
    """The kitchen has `limit` places and a live worker in each."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"{limit} workers are already at work, and there is room for no more.")
