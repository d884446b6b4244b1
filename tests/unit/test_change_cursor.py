"""Cursors: their text, what they have received, and what two of them have together."""

import random
import re

import pytest

from pizza.changes import cursor as module
from pizza.changes.cursor import MAX_RANGES, Cursor, added, between, bounded, cursors, without

TEXTS = {
    "0": Cursor(0),
    "4711": Cursor(4711),
    "105~98": Cursor(105, ((98, 98),)),
    "105~98.101-103": Cursor(105, ((98, 98), (101, 103))),
}


def positions(ranges):
    return {position for low, high in ranges for position in range(low, high + 1)}


def some_ranges(rng, upto, share=0.5):
    return tuple(between(0, [n for n in range(1, upto) if rng.random() < share]))


def some_cursor(rng):
    position = rng.randint(1, 60)
    return Cursor(position, bounded(some_ranges(rng, position + 1, 0.8)))


def received(cursor):
    return {position for position in range(1, 100) if cursor.received(position)}


@pytest.mark.parametrize("text", TEXTS)
def test_a_cursor_is_written_and_read(text):
    assert str(TEXTS[text]) == text
    assert Cursor.parse(text) == TEXTS[text]


@pytest.mark.parametrize(
    "text",
    ["", "-1", "x", "1 ", " 1", "1~", "1~1.", "5~3.2", "5~3-2", "5~6", "5~0", "5~2-3.3", "5~2,3",
     "١", "9" * 19, "9~" + "9" * 19, "99~" + ".".join(str(n) for n in range(1, 36, 2))],
)  # fmt: skip
def test_any_other_text_is_no_cursor(text):
    assert Cursor.parse(text) is None


def test_the_longest_text_is_bounded():
    ranges = tuple((10**17 + 10 * n, 10**17 + 10 * n + 5) for n in range(MAX_RANGES))
    longest = str(Cursor(10**17 * 9, ranges))
    assert len(longest) == 18 + MAX_RANGES * 38 == 626
    assert Cursor.parse(longest) == Cursor(10**17 * 9, ranges)
    assert re.fullmatch(r"[\d~.-]+", longest)


def test_a_cursor_knows_what_it_has_received():
    cursor = Cursor(9, ((2, 3), (5, 5)))
    assert received(cursor) == {1, 4, 6, 7, 8, 9}
    assert received(cursor.upto(5)) == {1, 4}
    assert cursor.upto(20) == cursor


def test_beyond_the_bound_ranges_that_are_close_are_taken_for_one():
    ranges = [(n, n) for n in range(100, 100 + 2 * MAX_RANGES, 2)]
    assert bounded(ranges) == tuple(ranges)
    more = bounded([(1, 1), *ranges])
    assert len(more) == MAX_RANGES
    assert more[0] == (1, 1)
    assert len(positions(more) - positions(ranges)) == 2  # 1, and one between two of them


@pytest.mark.parametrize("seed", range(20))
def test_two_cursors_together_have_received_what_either_has(seed):
    rng = random.Random(seed)
    one, other = some_cursor(rng), some_cursor(rng)
    both = one.union(other)
    assert received(both) <= received(one) | received(other)
    assert len(both.missing) <= MAX_RANGES
    if len(both.missing) < MAX_RANGES:
        assert received(both) == received(one) | received(other)


@pytest.mark.parametrize("seed", range(20))
def test_ranges_are_added_and_taken_away(seed):
    rng = random.Random(seed)
    ranges = some_ranges(rng, 30)
    gone = sorted(rng.sample(range(1, 30), 10))
    assert positions(without(ranges, gone)) == positions(ranges) - set(gone)
    low = rng.randint(1, 25)
    others = bounded(without(ranges, range(low, low + 4)))
    both = added(others, low, low + 3)
    assert positions(both) >= positions(others) | set(range(low, low + 4))
    assert list(both) == sorted(both)
    if len(both) < MAX_RANGES:
        assert positions(both) == positions(others) | set(range(low, low + 4))


@pytest.mark.parametrize("seed", range(20))
def test_each_of_some_positions_has_the_cursor_of_all_up_to_it(seed, monkeypatch):
    rng = random.Random(seed)
    missing = some_ranges(rng, 50, 0.7)
    seen = [n for n in range(10, 60) if n not in positions(missing) and rng.random() < 0.7]
    for position, cursor in zip(seen, cursors(missing, seen), strict=True):
        assert cursor == Cursor(position, module.clipped(missing, 1, position))
    monkeypatch.setattr(module, "MAX_RANGES", 3)
    for position, cursor in zip(seen, cursors(missing, seen), strict=True):
        assert len(cursor.missing) <= 3
        assert positions(cursor.missing) >= {n for n in positions(missing) if n < position}
