"""The page of dead letters on a phone and on a wall: few, many, hostile, with long tracebacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..support.api_service import Service
from ..support.page_driver import PHONE, PageDriver
from ..support.waiting import wait_until
from .test_for_everybody import found_by_axe

WALL = (1920, 1080)
PAGE = "/manage/dead-letters"
HOSTILE = "<img src=x onerror=document.title='hacked'> \u202egnp.exe \x1b[31m " + "w" * 10_000
TRACEBACK = (
    "Traceback (most recent call last):\n"
    + (
        '  File "/srv/pizza/kitchen.py", line 7, in bake\n    raise KeyError("'
        + "flour" * 40
        + '")\n'
    )
    * 75
)  # 20 kB
_INSERT = """
insert into dead_message (id, task, queue, headers, body, reason, traceback, attempts, runs,
                          died_at)
select gen_random_uuid(), %s, %s, %s, %s, %s, %s, 3, 5, now() + n * interval '1 ms'
from generate_series(1, %s) n returning 1
"""


@pytest.fixture
def counter(house: Service) -> Iterator[Service]:
    """The house, without dead letters before and after."""
    house.query("delete from dead_message where true returning 1")
    yield house
    house.query("delete from dead_message where true returning 1")


def insert(house: Service, number: int = 1, **columns: Any) -> None:
    values = {
        "task": "bake", "queue": "bakery", "headers": '{"from": "Zoë"}', "body": b'{"loaf": 1}',
        "reason": "KeyError: 'flour'", "traceback": TRACEBACK, **columns,
    }  # fmt: skip
    house.query(_INSERT, *values.values(), number)


def assert_sound(visitor: PageDriver, name: str, *, axe: bool = True) -> None:
    """At each size nothing is wider than the screen or out of reach; no barrier is found by axe."""
    for size, screen in ((PHONE, "phone"), (WALL, "wall")):
        visitor.looks(size, dark=size == WALL)
        visitor.picture(f"dead-letters-{name}-{screen}")
        assert visitor.run("return document.documentElement.scrollWidth") <= size[0], screen
        outside = visitor.run(
            "const all = '.dead-letters li, .dead-letters p, .dead-letters button';"
            "const isOutside = e => e.getBoundingClientRect().right > innerWidth;"
            "return [...document.querySelectorAll(all)].filter(isOutside).length"
        )
        assert outside == 0, screen
        assert not axe or found_by_axe(visitor) == [], screen


@pytest.mark.parametrize("number", [0, 1, 100])
def test_it_fits_a_phone_and_a_wall(counter: Service, visitor: PageDriver, number: int) -> None:
    insert(counter, number)
    visitor.go(counter, PAGE)
    assert len(visitor.all(".dead-letters > li")) == number
    # What is true of one card is true of a hundred, for which axe takes minutes.
    assert_sound(visitor, str(number), axe=number < 100)


def test_a_long_traceback_is_folded_and_scrolls_in_its_place(
    counter: Service, visitor: PageDriver
) -> None:
    insert(counter)
    visitor.go(counter, PAGE)
    stack = "details:last-of-type"
    assert visitor.run(f"return document.querySelector('.dead-letters {stack}').open") is False
    visitor.click(f".dead-letters {stack} summary")
    visitor.sees(f".dead-letters {stack} pre", "in bake")
    height = visitor.run(
        f"return document.querySelector('.dead-letters {stack} pre').getBoundingClientRect().height"
    )
    assert height < 900
    assert_sound(visitor, "traceback")


def test_hostile_text_breaks_nothing(counter: Service, visitor: PageDriver) -> None:
    insert(
        counter, task=HOSTILE, queue=HOSTILE, reason=HOSTILE, traceback=HOSTILE,
        body=HOSTILE.encode(), headers=None,
    )  # fmt: skip
    visitor.go(counter, PAGE)
    for summary in visitor.all(".dead-letters summary"):
        summary.click()
    assert visitor.browser.title.startswith("Dead letters")
    assert visitor.all(".dead-letters img") == []
    assert_sound(visitor, "hostile")


def test_all_are_dropped_only_after_a_second_click(counter: Service, visitor: PageDriver) -> None:
    insert(counter, 3)
    visitor.go(counter, PAGE)
    assert not visitor.find("#drop-all button").is_displayed()
    visitor.click("#drop-all summary")
    visitor.click("#drop-all button")
    visitor.sees("main", "No failed messages.")


def test_what_cannot_be_sent_again_is_said(counter: Service, visitor: PageDriver) -> None:
    visitor.expect("409")
    insert(counter, 2, task="bake", queue="bakery")
    insert(counter, queue="dead_letter_queue")
    visitor.go(counter, PAGE)
    visitor.click(".inline [value=retry]")
    visitor.sees(".problem", "2 were retried, 1 was not:")
    visitor.sees(".problem", "does not say from which queue it came")
    wait_until(lambda: len(visitor.all(".dead-letters > li")) == 1, 10, "one is left")
    assert_sound(visitor, "failed")
    counter.query("delete from message where task = 'bake' returning 1")
