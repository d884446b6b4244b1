"""The tags that an order requires, and those that a cook may have."""

import pytest

from pizza.domain.errors import InvalidSpecialities
from pizza.domain.menu import UNKNOWN, parse_specialities, required_tags
from pizza.domain.order import OrderItem

MENU = {"margherita pizza": "pizza", "caesar salad": "salad", "lasagne": "pasta", "steak": "grill"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Margherita Pizza"], ["pizza"]),
        (["MARGHERITA PIZZA", "Lasagne"], ["pasta", "pizza"]),
        (["House Pizza"], ["pizza"]),
        (["Pizza Salad"], ["salad"]),
        (["Two pizzas"], ["pizza"]),
        (["Pizzaiola sauce"], [UNKNOWN]),
        (["Sushi", "Steak"], [UNKNOWN, "grill"]),
        (["🍕"], [UNKNOWN]),
    ],
)
def test_each_item_needs_its_tag(names, expected):
    items = [OrderItem(name, 1, None) for name in names]

    assert required_tags(items, MENU) == sorted(expected)


def test_words_are_order_types_or_tags():
    tags = set(MENU.values())
    everything = ("dine-in", "takeout", "delivery")
    assert parse_specialities(["takeout", "delivery"], tags) == (("takeout", "delivery"), None)
    assert parse_specialities(["pizza", "Pasta"], tags) == (everything, ("pizza", "pasta"))
    assert parse_specialities(["delivery", "pizza"], tags) == (("delivery",), ("pizza",))


def test_a_word_that_is_neither_is_refused_with_those_that_are():
    with pytest.raises(InvalidSpecialities) as refused:
        parse_specialities(["pizza", "sushi"], {"pizza"})
    assert "knows dine-in, takeout, delivery, pizza, not 'sushi'." in str(refused.value)
