"""JSON document to order, or one error for each bad field."""

import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizza.domain.errors import InvalidOrder
from pizza.domain.order import validate
from pizza.orders.schema import parse_order
from pizza.web.schemas.examples import ORDERS

ITEM = {"name": "Pizza", "quantity": 1, "price": Decimal("15.99")}
ORDER = {"customer_name": "Jo", "items": [ITEM]}


def errors_of(document):
    with pytest.raises(InvalidOrder) as refusal:
        parse_order(document)
    return {error.field: error.message for error in refusal.value.errors}


def exact(example):
    items = [{**item, "price": Decimal(str(item["price"]))} for item in example["items"]]
    return {**example, "items": items}


@pytest.mark.parametrize("example", ORDERS.values())
def test_the_documented_examples_are_valid(example):
    draft = parse_order(exact(example))
    assert draft.customer_name == example["customer_name"]
    assert draft.rush is example.get("rush", False)


def test_what_is_left_out_has_the_defaults_of_the_specification():
    draft = parse_order(ORDER)
    assert (draft.customer_type, draft.order_type, draft.rush) == ("regular", "takeout", False)
    assert draft.table_number is draft.delivery_address is draft.priority is None


def test_null_is_as_good_as_left_out_where_the_order_message_has_null():
    nothing = {"table_number": None, "delivery_address": None, "priority": None}
    assert parse_order({**ORDER, **nothing}) == parse_order(ORDER)


def test_text_is_kept_as_given():
    name = " O'Brien\u200f  \u200d👩‍🍳 "
    draft = parse_order({**ORDER, "customer_name": name, "items": [{**ITEM, "name": name}]})
    assert draft.customer_name == draft.items[0].name == name


def test_a_price_may_be_left_to_the_menu_where_it_is_not_needed():
    document = {**ORDER, "items": [{"name": "Pizza", "quantity": 1}]}
    assert parse_order(document, prices_needed=False).items[0].price is None
    assert errors_of(document) == {"items[0].price": "is required"}


@pytest.mark.parametrize(("price", "kept"), [(26, "26.00"), ("1E+1", "10.00"), ("-0.0", "0.00")])
def test_prices_are_kept_with_two_places(price, kept):
    document = {**ORDER, "items": [{**ITEM, "price": Decimal(price)}]}
    assert str(parse_order(document).items[0].price) == kept


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"customer_name": 5}, "customer_name"),
        ({"customer_name": None}, "customer_name"),
        ({"customer_name": "\ud800"}, "customer_name"),
        ({"customer_name": ["Jo"]}, "customer_name"),
        ({"customer_type": None}, "customer_type"),
        ({"order_type": "drive-in"}, "order_type"),
        ({"order_type": {}}, "order_type"),
        ({"table_number": "5"}, "table_number"),
        ({"table_number": 5.0}, "table_number"),
        ({"delivery_address": 5}, "delivery_address"),
        ({"rush": 1}, "rush"),
        ({"rush": "true"}, "rush"),
        ({"rush": None}, "rush"),
        ({"priority": True}, "priority"),
        ({"priority": "10"}, "priority"),
        ({"items": None}, "items"),
        ({"items": {}}, "items"),
        ({"items": "Pizza"}, "items"),
        ({"items": []}, "items"),
        ({"items": [ITEM] * 5000}, "items"),
        ({"items": [None]}, "items[0]"),
        ({"items": [ITEM, []]}, "items[1]"),
        ({"items": [{**ITEM, "price": "15.99"}]}, "items[0].price"),
        ({"items": [{**ITEM, "price": True}]}, "items[0].price"),
        ({"items": [{**ITEM, "price": None}]}, "items[0].price"),
        ({"items": [{**ITEM, "price": Decimal("NaN")}]}, "items[0].price"),
        ({"items": [{**ITEM, "price": Decimal("15.999")}]}, "items[0].price"),
        ({"items": [{**ITEM, "price": Decimal("1e-999999999999999999")}]}, "items[0].price"),
        ({"items": [{**ITEM, "name": "one\ntwo"}]}, "items[0].name"),
        ({"customer_name": "Jo\u202egnp.exe"}, "customer_name"),
        ({"customer_name": "Jo\u2066x"}, "customer_name"),
        ({"customer_name": "\x1b[2J"}, "customer_name"),
        ({"items": [{**ITEM, "quantity": True}]}, "items[0].quantity"),
        ({"items": [{**ITEM, "quantity": Decimal("1.0")}]}, "items[0].quantity"),
        ({"items": [{**ITEM, "quantity": 10**4000}]}, "items[0].quantity"),
        ({"items": [{**ITEM, "size": "L"}]}, "items[0].size"),
        ({"total_amount": 1}, "total_amount"),
        ({"status": "ready"}, "status"),
        ({"": 1}, ""),
        ({"x" * 5000: 1}, "x" * 100),
    ],
)
def test_a_bad_field_is_named_and_no_other(change, field):
    assert list(errors_of({**ORDER, **change})) == [field]


@pytest.mark.parametrize("document", [None, [], "order", 5, True, Decimal("1.5"), [ORDER]])
def test_a_document_that_is_no_object_is_refused_as_a_whole(document):
    assert errors_of(document) == {"": "must be a JSON object"}


def test_bad_types_do_not_hide_broken_rules():
    document = {
        "customer_name": "",
        "order_type": "dine-in",
        "rush": "yes",
        "items": [{"name": "\0", "quantity": "2", "price": Decimal(-1)}, ITEM],
    }
    assert errors_of(document) == {
        "rush": "must be true or false",
        "items[0].quantity": "must be a whole number",
        "customer_name": "must be 1 to 100 characters long",
        "table_number": "is required for a dine-in order",
        "items[0].name": "must not contain control characters",
        "items[0].price": "must be from 0 to 999999.99",
    }


NUMBERS = st.one_of(
    st.integers(),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.decimals(min_value=0, max_value=1000, places=2),
)
TEXT = st.text(alphabet=st.characters(), max_size=120)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT, st.sampled_from(["dine-in", "vip"]))
NAMES = st.one_of(
    TEXT,
    st.sampled_from(
        ["customer_name", "items", "order_type", "table_number", "delivery_address", "price",
         "quantity", "name", "rush", "priority", "customer_type"]
    ),
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=8),
    max_leaves=25,
)
ORDERS = st.fixed_dictionaries(
    {"customer_name": LEAVES, "items": JSON | st.lists(st.fixed_dictionaries(
        {"name": LEAVES, "quantity": LEAVES, "price": LEAVES}), max_size=4)},
    optional={"order_type": LEAVES, "table_number": LEAVES, "delivery_address": LEAVES,
              "rush": LEAVES, "priority": LEAVES, "customer_type": LEAVES},
)  # fmt: skip


@given(JSON | ORDERS)
def test_any_json_is_a_good_order_or_is_refused_with_one_error_a_field(document):
    try:
        draft = parse_order(document)
    except InvalidOrder as refusal:
        fields = [error.field for error in refusal.errors]
        assert fields
        assert len(fields) == len(set(fields))
        assert all(error.message for error in refusal.errors)
    else:
        assert validate(draft) == []


@given(
    st.lists(
        st.tuples(st.integers(1, 1000), st.decimals(0, 900, places=2, allow_nan=False)),
        min_size=1,
        max_size=100,
    )
)
def test_whatever_is_good_has_an_exact_total(lines):
    items = [{"name": "x", "quantity": n, "price": price} for n, price in lines]
    draft = parse_order({"customer_name": "Jo", "items": items})
    assert draft.total * 100 == sum(n * int(price * 100) for n, price in lines)


def names(count):
    return {f"field {n}": n for n in range(count)}


HUGE = {
    "unknown fields": names(120_000),
    "unknown fields of an item": {"items": [names(120_000)]},
    "unknown fields of each item": {"items": [names(2_000) for _ in range(60)]},
    "bad items": {"items": [{}] * 120_000},
    "items that are no objects": {"items": [None] * 120_000},
    "deep values of unknown fields": {"x": {"y": [names(1000)] * 100}},
}


@pytest.mark.parametrize("kind", HUGE)
def test_what_is_wrong_by_the_thousand_costs_no_more_than_by_the_hundred(kind):
    document = HUGE[kind]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidOrder) as refused:
            parse_order(document)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 1 < len(refused.value.errors) < 500
    # 120,000 errors took 450 MB.
    assert peak < 3_000_000
    assert any(each.field == "customer_name" for each in refused.value.errors)


def test_the_first_hundred_unknown_fields_are_named_and_the_known_ones_kept():
    document = {**names(150), **ORDER, "last": 1}
    with pytest.raises(InvalidOrder) as refused:
        parse_order(document)

    assert [each.field for each in refused.value.errors] == list(names(100))


def test_an_order_of_a_hundred_items_is_read_as_it_is():
    lines = [{"name": f"Dish {n}", "quantity": 1, "price": 1} for n in range(100)]
    assert len(parse_order({**ORDER, "items": lines}).items) == 100
    with pytest.raises(InvalidOrder, match="1 to 100 items"):
        parse_order({**ORDER, "items": [*lines, lines[0]]})
