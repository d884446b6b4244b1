"""Estimates of waiting orders, in the order in which cooks take them."""

from hypothesis import given
from hypothesis import strategies as st

from pizza.domain.estimate import Cook, QueuedOrder, estimate_completions


def takeout(number, seconds=10.0, needs=()):
    return QueuedOrder(number, "takeout", seconds, frozenset(needs))


def test_one_cook_takes_orders_one_after_the_other():
    assert estimate_completions([Cook()], [takeout("a"), takeout("b")]) == {"a": 10, "b": 20}


def test_a_busy_cook_is_free_later():
    cooks = [Cook(busy_seconds=4), Cook(busy_seconds=1)]
    line = [takeout("a"), takeout("b"), takeout("c")]
    assert estimate_completions(cooks, line) == {"a": 11, "b": 14, "c": 21}


def test_cooks_take_only_what_they_may():
    driver = Cook(order_types=frozenset({"delivery"}))
    pizzaiolo = Cook(tags=frozenset({"pizza"}))
    line = [
        takeout("salad", needs={"salad"}),
        takeout("pizza", needs={"pizza"}),
        QueuedOrder("away", "delivery", 12, frozenset({"salad"})),
    ]
    assert estimate_completions([driver, pizzaiolo], line) == {
        "pizza": 10,
        "away": 12,
        "salad": None,
    }


def test_without_cooks_there_is_no_estimate():
    assert estimate_completions([], [takeout("a")]) == {"a": None}


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=5),
    st.lists(st.floats(0.1, 50), max_size=30),
)
def test_everything_is_ready_some_time_and_nobody_cooks_two_at_once(busy_seconds, seconds):
    line = [takeout(str(turn), length) for turn, length in enumerate(seconds)]
    found = estimate_completions([Cook(busy_seconds=moment) for moment in busy_seconds], line)
    assert len(found) == len(line)
    total = sum(seconds)
    for order in line:
        ready = found[order.number]
        assert ready is not None
        assert min(busy_seconds) + order.seconds - 1e-6 <= ready <= max(busy_seconds) + total + 1e-6
