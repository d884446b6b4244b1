"""What the restaurant may refuse, one class for each reason; each message is a sentence for people.

DomainError
├── InvalidOrder       the order breaks rules; one FieldError for each bad field
├── PricesDiffer       an InvalidOrder: dishes or prices that are not the menu's
├── InvalidRequest     what staff asks for makes no sense; one FieldError for each bad field
├── OrderNotFound      nobody placed an order of this number
├── RestaurantFull     as many orders as the restaurant takes at a time are waiting or cooking
├── ClientFull         one client has as many of those as one may have
├── KitchenPaused      staff has stopped the intake for a while
├── SoldOut            something of the order is not to be had today
├── OrderTwice         this message from outside has become an order before
├── KeyReused          this key came with another request before
├── KeyInFlight        a request with this key is being answered at this moment
├── IllegalTransition  the state machine does not lead from here to there
├── ReasonMissing      this change needs a reason, for the log
├── VersionConflict    the order is not what the caller has looked at any more
├── CustomerNotFound   nobody of this name has ordered, and staff has said nothing of one
├── CustomerHasOrders  a customer with open orders cannot be erased yet
├── UnknownDish        the menu has no dish of this name
├── NoSuchKey          no staff key has this id
├── NoSuchSession      no session that has not ended has this id
├── NoSuchWebhook      no webhook has this id
├── NoSuchDelivery     this webhook has no delivery of this id
├── WebhookDisabled    nothing is sent to this webhook until it is enabled again
├── CredentialMissing  this is for those who show a key or a token
├── CredentialUnknown  what was shown is neither a key that counts nor the token of an order
├── NotAllowed         what was shown is known, and not good for this
├── UnknownOrderTypes  a cook's specialities are neither order types nor on the menu
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


class PricesDiffer(InvalidOrder):
    """The menu has other prices, or lacks a dish; `errors` names the field and the right price."""


class InvalidRequest(DomainError):
    """A request of the staff with at least one bad field; `errors` has one entry for each."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = list(errors)
        reasons = "; ".join(f"{e.field} {e.message}" for e in self.errors)
        super().__init__(f"The request is not valid: {reasons}.")


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


class ClientFull(DomainError):
    """This client holds `places` places of the kitchen; try again in `retry_after_seconds`.

    network: all clients of its network together hold them.
    """

    def __init__(self, places: int, retry_after_seconds: int = 5, *, network: bool = False) -> None:
        self.places = places
        self.retry_after_seconds = retry_after_seconds
        here, most = ("this network", "one network") if network else ("here", "one client")
        super().__init__(
            f"From {here} {places} orders are waiting or cooking already, which is the most that "
            f"{most} may have."
        )


class NoSuchKey(DomainError):
    """There is no staff key with this id."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        super().__init__(f"There is no staff key {key_id!r}.")


class NoSuchSession(DomainError):
    """No session, or more than one, has an id that begins so."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"There is no one session {session_id!r}.")


class NoSuchWebhook(DomainError):
    """No webhook has this id."""

    def __init__(self, webhook_id: str) -> None:
        self.webhook_id = webhook_id
        super().__init__(f"There is no webhook {webhook_id!r}.")


class NoSuchDelivery(DomainError):
    """The webhook has no delivery of this id; it may have been forgotten since."""

    def __init__(self, delivery_id: str) -> None:
        self.delivery_id = delivery_id
        super().__init__(f"This webhook has no delivery {delivery_id!r}.")


class WebhookDisabled(DomainError):
    """Nothing is sent to the webhook; enable it first."""

    def __init__(self, webhook_id: int) -> None:
        self.webhook_id = webhook_id
        super().__init__(f"Webhook {webhook_id} is disabled; enable it first.")


class CredentialMissing(DomainError):
    """This needs a key or token, and none was shown; `errors` names the fields that do."""

    def __init__(self, sentence: str, errors: Sequence[FieldError] = ()) -> None:
        self.errors = list(errors)
        super().__init__(sentence)


class CredentialUnknown(DomainError):
    """What was shown is neither a staff key that counts nor the tracking token of an order."""

    def __init__(self) -> None:
        super().__init__("This key or token is not known here, or not any more.")


class NotAllowed(DomainError):
    """Who asks is known, and may not do this; `errors` names the fields that are not theirs."""

    def __init__(self, sentence: str, errors: Sequence[FieldError] = ()) -> None:
        self.errors = list(errors)
        super().__init__(sentence)


class IllegalTransition(DomainError):
    """An order in `current` cannot become `wanted`; `allowed` says what it can become.

    sentence: the message, where `wanted` is no status.
    """

    def __init__(
        self, current: str, wanted: str, allowed: Sequence[str], sentence: str | None = None
    ) -> None:
        self.current = current
        self.wanted = wanted
        self.allowed = tuple(allowed)
        choices = f", only {', '.join(self.allowed)}" if self.allowed else " any more"
        super().__init__(sentence or f"An order that is {current} cannot become {wanted}{choices}.")


class KitchenPaused(DomainError):
    """The kitchen takes no orders for now; try again in `retry_after_seconds`."""

    def __init__(self, reason: str | None = None, retry_after_seconds: int = 30) -> None:
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        why = f": {reason}" if reason else ""
        super().__init__(f"The kitchen takes no orders at the moment{why}.")


class SoldOut(DomainError):
    """Items of the order are sold out; `names` says which, as the menu calls them."""

    def __init__(self, names: str) -> None:
        self.names = names
        super().__init__(f"Sold out today: {names}.")


class OrderTwice(DomainError):
    """The message has become the order `number` before; nothing is stored again."""

    def __init__(self, number: str) -> None:
        self.number = number
        super().__init__(f"This message has become order {number} before.")


class KeyReused(DomainError):
    """An order was placed under this key, from another body."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used before, with another body.")


class KeyInFlight(DomainError):
    """A request with this key is not answered yet; try again in `retry_after_seconds`."""

    def __init__(self, retry_after_seconds: int = 1) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__("A request with this Idempotency-Key is being answered right now.")


class ReasonMissing(DomainError):
    """The change is allowed to who asks for it, with a reason."""

    def __init__(self, current: str, wanted: str) -> None:
        self.current = current
        self.wanted = wanted
        super().__init__(f"An order that is {current} becomes {wanted} only with a reason.")


class VersionConflict(DomainError):
    """The order has version `current`, not `expected`: look again before changing it."""

    def __init__(self, number: str, expected: int, current: int) -> None:
        self.number = number
        self.expected = expected
        self.current = current
        super().__init__(f"Order {number} has changed: it has version {current}, not {expected}.")


class CustomerNotFound(DomainError):
    """Neither the orders nor the staff know a customer of this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"There is no customer {name!r}.")


class CustomerHasOrders(DomainError):
    """Somebody still works on these orders of the customer, and needs to know whose they are."""

    def __init__(self, orders: Sequence[str]) -> None:
        self.orders = list(orders)
        super().__init__(
            f"These orders have not ended: {', '.join(self.orders)}. Deliver or cancel them, and "
            "erase the customer then."
        )


class UnknownDish(DomainError):
    """The menu has no such dish."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"There is no {name!r} on the menu.")


class UnknownOrderTypes(DomainError):
    """A cook cannot specialise in these words; `known` are those that it can."""

    def __init__(self, words: Sequence[str], known: Sequence[str]) -> None:
        self.words = tuple(words)
        self.known = tuple(known)
        named = ", ".join(repr(word) for word in words)
        super().__init__(f"--order-types (ORDER_TYPES) knows {', '.join(known)}, not {named}.")


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
