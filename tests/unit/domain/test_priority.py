"""The priority of an order."""

from decimal import Decimal

import pytest

from pizza.domain.priority import PriorityInputs, assign_priority


def facts(total="10.00", *, vip=False, rush=False, repeat=False, override=None):
    return PriorityInputs(vip, rush, Decimal(total), repeat, override)


@pytest.mark.parametrize(
    ("total", "priority"),
    [("0.00", 1), ("49.99", 1), ("50.00", 5), ("100.00", 5), ("100.01", 10), ("106.92", 10)],
)
def test_the_total_alone_gives_the_priority(total, priority):
    assert assign_priority(facts(total)).priority == priority


@pytest.mark.parametrize(
    ("given", "priority", "rule"),
    [
        (facts(vip=True), 10, "VIP customer"),
        (facts(rush=True), 10, "rush order"),
        (facts(repeat=True), 5, "repeat customer"),
        (facts("50.00", repeat=True), 5, "order from 50.00 to 100.00"),
        (facts("100.01", repeat=True), 10, "order over 100.00"),
        (facts(), 1, "standard order"),
    ],
)
def test_the_first_rule_that_applies_decides_and_gives_its_name(given, priority, rule):
    assigned = assign_priority(given)
    assert (assigned.priority, assigned.rule) == (priority, rule)


@pytest.mark.parametrize("override", [1, 7, 10])
def test_a_manual_override_beats_every_rule(override):
    assigned = assign_priority(facts("500.00", vip=True, rush=True, override=override))
    assert (assigned.priority, assigned.rule) == (override, "manual override")
