"""The page of dead letters on a phone and on a wall screen: few, many, hostile, long tracebacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..support.api_service import Service
from ..support.page_driver import PHONE, PageDriver
from ..support.waiting import wait_until
from .test_accessibility import found_by_axe

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
def empty_service(service: Service) -> Iterator[Service]:
    """The service without dead letters; they are deleted after the test, too."""
    service.query("delete from dead_message where true returning 1")
    yield service
    service.query("delete from dead_message where true returning 1")


def insert(service: Service, number: int = 1, **columns: Any) -> None:
    values = {
        "task": "bake", "queue": "bakery", "headers": '{"from": "Zoë"}', "body": b'{"loaf": 1}',
        "reason": "KeyError: 'flour'", "traceback": TRACEBACK, **columns,
    }  # fmt: skip
    service.query(_INSERT, *values.values(), number)


def check_layout(page: PageDriver, name: str, *, axe: bool = True) -> None:
    """At each size nothing is wider than the screen, and axe finds no barrier."""
    for size, screen in ((PHONE, "phone"), (WALL, "wall")):
        page.looks(size, dark=size == WALL)
        page.picture(f"dead-letters-{name}-{screen}")
        assert page.run("return document.documentElement.scrollWidth") <= size[0], screen
        outside = page.run(
            "const all = '.dead-letters li, .dead-letters p, .dead-letters button';"
            "const isOutside = e => e.getBoundingClientRect().right > innerWidth;"
            "return [...document.querySelectorAll(all)].filter(isOutside).length"
        )
        assert outside == 0, screen
        assert not axe or found_by_axe(page) == [], screen


@pytest.mark.parametrize("number", [0, 1, 100])
def test_it_fits_a_phone_and_a_wall(empty_service: Service, page: PageDriver, number: int) -> None:
    insert(empty_service, number)
    page.go(empty_service, PAGE)
    assert len(page.all(".dead-letters > li")) == number
    # What is true of one card is true of a hundred, for which axe takes minutes.
    check_layout(page, str(number), axe=number < 100)


def test_a_long_traceback_is_folded_and_scrolls_in_its_place(
    empty_service: Service, page: PageDriver
) -> None:
    insert(empty_service)
    page.go(empty_service, PAGE)
    stack = "details:last-of-type"
    assert page.run(f"return document.querySelector('.dead-letters {stack}').open") is False
    page.click(f".dead-letters {stack} summary")
    page.sees(f".dead-letters {stack} pre", "in bake")
    height = page.run(
        f"return document.querySelector('.dead-letters {stack} pre').getBoundingClientRect().height"
    )
    assert height < 900
    check_layout(page, "traceback")


def test_hostile_text_breaks_nothing(empty_service: Service, page: PageDriver) -> None:
    insert(
        empty_service, task=HOSTILE, queue=HOSTILE, reason=HOSTILE, traceback=HOSTILE,
        body=HOSTILE.encode(), headers=None,
    )  # fmt: skip
    page.go(empty_service, PAGE)
    for summary in page.all(".dead-letters summary"):
        summary.click()
    assert page.browser.title.startswith("Dead letters")
    assert page.all(".dead-letters img") == []
    check_layout(page, "hostile")


def test_all_are_dropped_only_after_a_second_click(
    empty_service: Service, page: PageDriver
) -> None:
    insert(empty_service, 3)
    page.go(empty_service, PAGE)
    assert not page.find("#drop-all button").is_displayed()
    page.click("#drop-all summary")
    page.click("#drop-all button")
    page.sees("main", "No failed messages.")


def test_dead_letters_that_cannot_be_retried_are_named(
    empty_service: Service, page: PageDriver
) -> None:
    page.expect("409")
    insert(empty_service, 2, task="bake", queue="bakery")
    insert(empty_service, queue="dead_letter_queue")
    page.go(empty_service, PAGE)
    page.click(".inline [value=retry]")
    page.sees(".problem", "2 were retried, 1 was not:")
    page.sees(".problem", "does not say from which queue it came")
    wait_until(lambda: len(page.all(".dead-letters > li")) == 1, 10, "one is left")
    check_layout(page, "failed")
    empty_service.query("delete from message where task = 'bake' returning 1")
