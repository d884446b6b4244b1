"""How long an order cooks."""

import pytest

from pizza.domain.estimate import cooking_seconds


@pytest.mark.parametrize(("kind", "seconds"), [("dine-in", 8), ("takeout", 10), ("delivery", 12)])
def test_each_type_has_its_time(kind, seconds):
    assert cooking_seconds(kind) == seconds


def test_the_times_scale_with_the_base():
    assert [cooking_seconds(k, 5) for k in ("dine-in", "takeout", "delivery")] == [4, 5, 6]


@pytest.mark.parametrize("kind", ["dine-in", "takeout", "delivery"])
def test_with_a_base_of_zero_nothing_takes_time(kind):
    assert cooking_seconds(kind, 0) == 0
