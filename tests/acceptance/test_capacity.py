"""Exactly `--max-concurrent` orders are accepted, whatever number comes at the same time."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from ..support.restaurant import Answer, OrderLedger, Restaurant, eventually, meal
from ..support.restaurant.sample_orders import KINDS

CAP = 50


@pytest.fixture
def small_restaurant(new_restaurant: Callable[[], Restaurant]) -> Restaurant:
    """A restaurant with 50 places and two HTTP worker processes, and no cook."""
    restaurant = new_restaurant()
    restaurant.open(max_concurrent=CAP, web_workers=2)
    return restaurant


def race(restaurant: Restaurant, clients: int) -> tuple[list[Answer], list[Answer]]:
    """So many orders at the same time: the accepted ones, and the refused ones."""
    kinds = KINDS * (clients // len(KINDS) + 1)
    answers = restaurant.rush([meal(kind) for kind in kinds[:clients]])
    assert {answer.status for answer in answers} <= {201, 503}, answers
    taken = [answer for answer in answers if answer.status == 201]
    return taken, [answer for answer in answers if answer.status == 503]


def test_fifty_of_two_hundred_racing_orders_are_accepted(small_restaurant: Restaurant) -> None:
    taken, refused = race(small_restaurant, 200)

    assert (len(taken), len(refused)) == (CAP, 150)
    assert set(small_restaurant.ledger.orders()) == numbers_of(taken)
    # Their tasks are all that stays in the outbox
    left = "select count(*)::int as n from message"
    eventually(lambda: small_restaurant.ledger.rows(left) == [{"n": CAP}], 5, "one task for each")
    refused_get_the_time_to_wait(refused)
    numbers_count_from_one(taken)

    places_come_free_as_orders_become_ready(small_restaurant, taken)


def refused_get_the_time_to_wait(refused: list[Answer]) -> None:
    for answer in refused:
        assert answer.is_problem
        assert int(answer.headers["retry-after"]) >= 1
    sentences = {answer.document["detail"] for answer in refused}
    assert f"The restaurant takes {CAP} orders at a time and is full." in sentences


def numbers_count_from_one(taken: list[Answer]) -> None:
    """No number twice, and those that were refused have used none up."""
    matches = [re.fullmatch(r"ORD_(\d{8})_(\d{3})", number) for number in numbers_of(taken)]
    assert len({match[1] for match in matches if match}) == 1
    counted = sorted(int(match[2]) for match in matches if match)
    assert counted == list(range(1, len(taken) + 1))


def places_come_free_as_orders_become_ready(restaurant: Restaurant, taken: list[Answer]) -> None:
    cook = restaurant.start_cook("mario", cooking_time=0.5)
    eventually(lambda: restaurant.ledger.count("ready") >= 1, 5, "an order is ready")
    cook.freeze()
    busy = "select 1 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()"
    eventually(lambda: not restaurant.ledger.rows(busy), 5, "what it had asked for is done")
    ready = restaurant.ledger.count("ready")

    more, refused = race(restaurant, ready + 10)

    assert (len(more), len(refused)) == (ready, 10)
    cook.thaw()
    cook.stop()
    restaurant.start_cook("luigi")
    restaurant.ledger.wait_for("ready", numbers_of(taken) | numbers_of(more), 15)
    restaurant.ledger.check_all_ready()


def test_the_cap_is_exact_while_cooks_give_places_back(small_restaurant: Restaurant) -> None:
    """300 clients repeat their orders until accepted, with two cooks; never more than 50."""
    meals = [meal(kind) for kind in KINDS * 100]
    over = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        highest = pool.submit(most_at_once, small_restaurant, over)
        clients = pool.submit(let_all_come_again, small_restaurant, meals)
        try:
            eventually(lambda: waiting(small_restaurant) > CAP // 2, 10, "the guests are there")
            small_restaurant.start_cooks(["mario", "luigi"], cooking_time=0)
            numbers = clients.result(100)
        finally:
            over.set()

    assert len(numbers) == 300
    assert CAP // 2 < highest.result() <= CAP
    small_restaurant.ledger.wait_for("ready", numbers, 15)
    small_restaurant.ledger.check_all_ready()


def let_all_come_again(restaurant: Restaurant, waiting: list[dict[str, Any]]) -> set[str]:
    numbers: set[str] = set()
    while waiting:
        answers = restaurant.rush(waiting, clients=32)
        numbers |= numbers_of(answers)
        both = zip(waiting, answers, strict=True)
        waiting = [order for order, answer in both if answer.status == 503]
    return numbers


def most_at_once(restaurant: Restaurant, over: threading.Event) -> int:
    """The largest number of waiting or cooking orders that the database had in any query."""
    highest = 0
    with closing(OrderLedger(restaurant.db_url)) as books:
        while not over.is_set():
            highest = max(highest, waiting(restaurant, books))
    return highest


def waiting(restaurant: Restaurant, books: OrderLedger | None = None) -> int:
    """How many orders wait or are cooking. books: for another thread's connection."""
    (row,) = (books or restaurant.ledger).rows(
        "select count(*)::int as n from orders where status in ('received', 'cooking')"
    )
    return int(row["n"])


@pytest.mark.parametrize(("before", "after"), [(20, 30), (20, 5)], ids=["raised", "lowered"])
def test_another_cap_at_restart_is_exact(
    new_restaurant: Callable[[], Restaurant], before: int, after: int
) -> None:
    restaurant = new_restaurant()
    first = restaurant.open(max_concurrent=before)
    taken, _ = race(restaurant, before + 5)
    assert len(taken) == before
    assert first.stop() == 0

    restaurant.open(max_concurrent=after)
    eventually(lambda: shares(restaurant) == after, 5, "the new cap holds")
    more, _ = race(restaurant, 20)

    assert len(more) == max(0, after - before)
    restaurant.start_cook("mario")
    restaurant.ledger.wait_for("ready", numbers_of(taken + more), 15)
    restaurant.ledger.check_all_ready()
    assert len(race_and_cook(restaurant, after + 5)) >= after


def race_and_cook(restaurant: Restaurant, clients: int) -> set[str]:
    taken, _ = race(restaurant, clients)
    restaurant.ledger.wait_for("ready", numbers_of(taken), 15)
    return numbers_of(taken)


def numbers_of(answers: list[Answer]) -> set[str]:
    return {answer.document["order_number"] for answer in answers if answer.status == 201}


def shares(restaurant: Restaurant) -> int:
    (row,) = restaurant.ledger.rows("select sum(share)::int as share from kitchen_capacity")
    return int(row["share"])
