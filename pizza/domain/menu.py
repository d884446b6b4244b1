"""Rules of the menu: the tags that a cook needs for an order, and its prices."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from pizza.domain.errors import FieldError, InvalidOrder, InvalidSpecialities
from pizza.domain.names import fold_name, name_error
from pizza.domain.order import ORDER_TYPES, OrderDraft, OrderItem, price_error, total_error

UNKNOWN = "?"
"""The tag of an item that fits no tag of the menu: only a cook without tags may take it."""

TAG_LENGTH = 50
_TAG = re.compile(r"[a-z][a-z0-9-]*")

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class Dish:
    """A dish of the menu. price: None if staff sets it with each order."""

    name: str
    tag: str
    price: Decimal | None = None
    sold_out: bool = False


def required_tags(items: Iterable[OrderItem], menu: Mapping[str, str]) -> list[str]:
    """The tags that a cook must have for these items, sorted.

    menu: tags by the keys of dish names. An item that is not on the menu gets the tag of its last
    known word: a "Margherita Pizza" is `pizza`, a "Pizza Salad" is `salad`.
    """
    tags = set(menu.values())
    return sorted({_required_tag(item.key, menu, tags) for item in items})


def _required_tag(name: str, menu: Mapping[str, str], tags: Collection[str]) -> str:
    known = menu.get(name)
    if known is not None:
        return known
    words: list[str] = _WORD.findall(name)
    for word in reversed(words):
        for form in (word, word.removesuffix("s")):
            if form in tags:
                return form
    return UNKNOWN


def parse_specialities(
    words: Iterable[str], tags: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Split `--order-types` into order types and menu tags (None: everything on the menu).

    Tags alone mean orders of every type. Raises InvalidSpecialities for a word that is neither.
    """
    given = [word.strip() for word in words]
    types = tuple(dict.fromkeys(word for word in given if word in ORDER_TYPES))
    chosen = tuple(dict.fromkeys(fold_name(w) for w in given if w not in ORDER_TYPES))
    unknown = [word for word in chosen if word not in tags]
    if unknown:
        raise InvalidSpecialities(unknown, (*ORDER_TYPES, *sorted(tags)))
    return types or ORDER_TYPES, chosen or None


def with_menu_prices(draft: OrderDraft, prices: Mapping[str, Decimal | None]) -> OrderDraft:
    """The draft with the menu's price for each item that has none and is on the menu.

    prices: by the keys of dish names. Raises InvalidOrder if the order costs too much then.
    """
    if all(item.price is not None for item in draft.items):
        return draft
    items = (
        replace(item, price=prices.get(item.key)) if item.price is None else item
        for item in draft.items
    )
    priced = replace(draft, items=tuple(items))
    if message := total_error(priced):
        raise InvalidOrder([FieldError("items", message)])
    return priced


def menu_errors(draft: OrderDraft, prices: Mapping[str, Decimal | None]) -> list[FieldError]:
    """One entry for each item whose dish or price differs from the menu."""
    found = []
    for index, item in enumerate(draft.items):
        price = prices.get(item.key)
        if price is None or price != item.price:
            found.append(menu_error(index, item.name, on_menu=item.key in prices, price=price))
    return found


def menu_error(index: int, name: str, *, on_menu: bool, price: Decimal | None) -> FieldError:
    """The error of an item whose dish or price differs from the menu.

    index: of the item in its order. price: the menu's; None if staff sets the price.
    """
    if not on_menu:
        return FieldError(f"items[{index}].name", f"{name} is not on the menu")
    field = f"items[{index}].price"
    if price is None:
        return FieldError(field, f"the price of {name} is for our staff to say")
    return FieldError(field, f"must be {price:.2f}, the price of {name} on the menu")


def dish_errors(name: str, tag: str, price: Decimal | None) -> Iterator[FieldError]:
    """The violations of the rules for a dish; one entry for each bad field."""
    if message := name_error(name):
        yield FieldError("name", message)
    if not _TAG.fullmatch(tag) or len(tag) > TAG_LENGTH:
        yield FieldError("tag", "must be a lower-case word, such as pizza or ice-cream")
    elif tag in ORDER_TYPES:
        # `--order-types=takeout` would be ambiguous.
        yield FieldError("tag", f"must not be an order type ({', '.join(ORDER_TYPES)})")
    if price is not None and (message := price_error(price)):
        yield FieldError("price", message)
