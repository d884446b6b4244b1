"""The table of stations."""

import pytest

from pizza.domain.stations import STATIONS, station


def test_dine_in_is_not_packed_and_only_deliveries_are_driven():
    passes = {row.name: row.order_types for row in STATIONS}
    assert passes == {
        "quality": ("dine-in", "takeout", "delivery"),
        "packaging": ("takeout", "delivery"),
        "courier": ("delivery",),
    }


def test_queues_are_the_specified_ones():
    queues = [row.queue for row in STATIONS]
    assert queues == ["quality_queue", "packaging_queue", "delivery_queue"]


def test_a_station_is_found_by_its_name():
    assert station("quality").task == "check_quality"
    with pytest.raises(KeyError):
        station("bar")
