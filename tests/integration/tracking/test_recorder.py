"""Tracking stores every notification once, and reports missing and late ones."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pizza.database.connection import BoundedConnection
from pizza.taskqueue.errors import DuplicateEvent, PoisonMessage
from pizza.tracking.recorder import on_notification

from ...support.order_events import NUMBER, event, status


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Any:
    """The actions logged since it was last asked, but for the changes themselves."""
    caplog.set_level(logging.INFO, "pizza")

    def actions() -> list[tuple[str, str]]:
        found = [(r.action, r.getMessage()) for r in caplog.records]
        caplog.clear()
        return [each for each in found if each[0] != "status_changed"]

    return actions


def track(conn: BoundedConnection, body: Any, id: str | None = None) -> None:
    with conn.transaction():
        on_commit = on_notification(event(body, id), conn)
    on_commit()


def gaps(conn: BoundedConnection) -> list[tuple[int, int, int, bool]]:
    return conn.execute(
        "select first, last, missing, filled_at is not null from tracking_gap order by first"
    ).fetchall()


def test_an_event_is_stored_with_all_its_fields(
    conn: BoundedConnection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pizza")
    body = status(1)
    track(conn, body)

    (row,) = conn.execute(
        """select event_id::text, order_number, sequence, old_status, new_status, changed_by,
                  to_char(occurred_at, 'HH24:MI'), received_at > now() - interval '1 minute'
           from tracking_event"""
    ).fetchall()
    assert row == (body["event_id"], NUMBER, 1, "received", "cooking", "chef_mario", "10:32", True)
    (line,) = caplog.records
    assert (line.action, line.order_number, line.levelname) == ("status_changed", NUMBER, "INFO")
    assert line.details["old_status"] == "received"
    assert line.details["at"] == "2024-12-16T10:32:00.000Z"


def test_a_duplicate_is_dropped(conn: BoundedConnection) -> None:
    body = status(1)
    track(conn, body)

    with pytest.raises(DuplicateEvent):
        track(conn, body)

    assert conn.execute("select count(*) from tracking_event").fetchone() == (1,)


def test_in_order_there_is_nothing_to_say(conn: BoundedConnection, logged: Any) -> None:
    for sequence in (1, 2, 3):
        track(conn, status(sequence))

    assert logged() == [] and gaps(conn) == []


def test_a_gap_is_logged_and_so_is_its_end(conn: BoundedConnection, logged: Any) -> None:
    track(conn, status(1))
    track(conn, status(4))
    assert logged() == [("event_gap", "Events 2 to 3 are missing")]
    track(conn, status(3))
    assert logged() == [("event_late", "Event 3 came late; 1 more of its gap are missing")]
    track(conn, status(3))
    assert logged() == [("event_late", "Event 3 came late, and another had its number")]
    assert gaps(conn) == [(2, 3, 1, False)]
    track(conn, status(2))
    assert logged() == [("event_late", "Event 2 came late; the gap is filled")]
    assert gaps(conn) == [(2, 3, 0, True)]
    track(conn, status(5))
    assert logged() == []


def test_an_order_that_begins_in_the_middle_has_a_gap(conn: BoundedConnection, logged: Any) -> None:
    track(conn, status(2))
    assert logged() == [("event_gap", "Event 1 is missing")]


def test_a_late_event_does_not_lead_the_order_back(conn: BoundedConnection) -> None:
    track(conn, status(3, "ready"))
    track(conn, status(2, "cooking"))

    assert conn.execute("select sequence, status from tracking_order").fetchall() == [(3, "ready")]


def test_an_order_waits_since_it_was_received_with_the_estimate_of_that_time(
    conn: BoundedConnection,
) -> None:
    def stay() -> tuple[str, str]:
        rows = conn.execute(
            "select to_char(since, 'HH24:MI'), to_char(promised, 'HH24:MI') from tracking_order"
        ).fetchall()
        return rows[0]

    track(conn, status(1, "received"))
    assert stay() == ("10:32", "10:42")
    # Another priority, another estimate: it waits all the same
    later = {"timestamp": "2024-12-16T10:50:00Z", "estimated_completion": "2024-12-16T11:00:00Z"}
    track(conn, status(2, "received", **later))
    assert stay() == ("10:32", "10:42")
    track(conn, status(3, "ready", **later))
    track(conn, status(4, "received", **later))
    assert stay() == ("10:50", "11:00")


def test_a_huge_gap_is_one_row(conn: BoundedConnection) -> None:
    track(conn, status(2**31 - 1))
    assert gaps(conn) == [(1, 2**31 - 2, 2**31 - 2, False)]


def test_the_specified_message_alone_will_do(conn: BoundedConnection, logged: Any) -> None:
    body = {
        key: value
        for key, value in status(None).items()
        if key not in ("event_id", "customer_name")
    }
    track(conn, body)
    with pytest.raises(DuplicateEvent):
        track(conn, body)
    track(conn, body | {"old_status": None}, "an id of its own")

    assert conn.execute("select count(*) from tracking_event").fetchone() == (2,)
    assert logged() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"order_number": ""}, {"order_number": 7}, {"order_number": "x" * 21},
        {"order_number": "a\x00"}, {"new_status": "eaten"}, {"new_status": None},
        {"new_status": ["ready"]}, {"old_status": "raw"}, {"changed_by": None},
        {"changed_by": "\ud800"}, {"timestamp": "soon"}, {"timestamp": None}, {"timestamp": 7},
        {"timestamp": "0001-01-01T00:00:00+14:00"}, {"estimated_completion": "soon"},
        {"sequence": 0}, {"sequence": "2"}, {"sequence": True}, {"sequence": 2**31},
        {"customer_name": 7},
    ],
)  # fmt: skip
def test_a_bad_event_is_poison_that_names_its_field(
    conn: BoundedConnection, fields: dict[str, Any]
) -> None:
    with pytest.raises(PoisonMessage, match=next(iter(fields))):
        track(conn, status(1) | fields)


@pytest.mark.parametrize("body", [None, 7, [], "text"])
def test_a_body_that_is_no_object_is_poison(conn: BoundedConnection, body: Any) -> None:
    with pytest.raises(PoisonMessage, match="JSON object"):
        track(conn, body)
