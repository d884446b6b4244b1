"""The status of an order and its transitions."""

import pytest

from pizza.domain.errors import IllegalTransition
from pizza.domain.status import (
    COOK,
    COURIER,
    CUSTOMER,
    STAFF,
    STATION,
    STATUSES,
    TRANSITIONS,
    allowed,
    transition,
)


def test_a_cook_leads_an_order_from_received_over_cooking_to_ready():
    assert allowed("received", "takeout", COOK) == ("cooking",)
    assert allowed("cooking", "takeout", COOK) == ("ready",)


def test_only_a_delivery_goes_out_with_a_courier():
    assert allowed("ready", "delivery", COURIER) == ("out-for-delivery",)
    assert allowed("out-for-delivery", "delivery", COURIER) == ("delivered",)
    assert allowed("ready", "dine-in", COURIER) == ()
    assert "out-for-delivery" not in allowed("ready", "takeout")


def test_dine_in_and_takeout_orders_are_handed_over_after_the_last_station():
    assert "delivered" in allowed("ready", "dine-in", STATION)
    assert "delivered" in allowed("ready", "takeout", STATION)
    assert "delivered" not in allowed("ready", "delivery")


@pytest.mark.parametrize("status", ["delivered", "cancelled"])
def test_nothing_comes_after_the_end(status):
    assert allowed(status, "delivery") == ()


def test_a_customer_cancels_only_what_nobody_cooks_yet():
    assert not transition("received", "cancelled", "takeout", CUSTOMER).needs_reason
    with pytest.raises(IllegalTransition) as refusal:
        transition("cooking", "cancelled", "takeout", CUSTOMER)
    assert refusal.value.allowed == ()
    assert transition("cooking", "cancelled", "takeout", STAFF).needs_reason
    assert transition("ready", "cancelled", "takeout", STAFF).needs_reason


def test_a_refusal_says_where_the_order_is_and_what_it_can_become():
    with pytest.raises(IllegalTransition, match="ready cannot become cooking, only out-for-deliv"):
        transition("ready", "cooking", "delivery", COURIER)


def test_the_table_knows_no_status_that_the_specification_does_not():
    assert {row.source for row in TRANSITIONS} | {row.target for row in TRANSITIONS} == set(
        STATUSES
    )
