"""The trace of a thread: taken from a message or request, passed on, and logged."""

import json
import logging

import pytest

from pizza.config.settings import Settings
from pizza.observability import logging_config
from pizza.taskqueue import App, trace
from pizza.taskqueue.task import publish
from pizza.taskqueue.testing import FakeConnection, run

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{ID}-00f067aa0ba902b7-01"

app = App("shop")


@app.task("pack", queue="parcels")
def pack(job):
    with job.complete() as conn:
        publish(conn, "shop", "packed", {"trace": trace.current()})
        pack.send(conn, {}, headers={"colour": "red"})


def test_an_incoming_trace_is_passed_on_unchanged():
    with trace.following(GIVEN):
        assert trace.current() == GIVEN
        assert trace.current_id() == ID
    assert trace.current() is None


@pytest.mark.parametrize(
    "given",
    [
        None, 7, "", "00", GIVEN.upper(), GIVEN + "-more", f"ff-{GIVEN[3:]}", f" {GIVEN}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{ID}-{'0' * 16}-01", f"00-{ID}-00f067aa0ba902b7",
        GIVEN + "\n",
    ],
)  # fmt: skip
def test_what_is_no_traceparent_is_ignored_and_a_trace_begun(given):
    with trace.following(given):
        begun = trace.current()
    assert trace.read(begun) == begun
    assert begun[3:35] != ID


def test_a_later_version_is_read_as_far_as_we_know_it():
    assert trace.read(f"01-{GIVEN[3:]}-more") == GIVEN


def test_each_request_has_its_own_trace():
    seen = []

    def application(environ, start_response):
        seen.append(trace.current())
        return []

    for environ in ({}, {}, {"HTTP_TRACEPARENT": GIVEN}):
        trace.each_request(application)(environ, None)
    assert len(set(seen)) == 3
    assert seen[2] == GIVEN
    assert trace.current() is None


def test_a_line_names_the_trace_it_is_written_for():
    formatter = logging_config.LineFormatter(Settings(mode="order-service"))
    record = logging.LogRecord("x", logging.INFO, "", 0, "Hello", (), None)
    assert "trace_id" not in json.loads(formatter.format(record))
    with trace.following(GIVEN):
        line = json.loads(formatter.format(record))
    assert list(line)[-1] == "trace_id"
    assert line["trace_id"] == ID


def test_what_a_job_sends_belongs_to_the_trace_of_its_message():
    event, parcel = run(pack, {}, headers={"traceparent": GIVEN}).sent
    assert event.body == {"trace": GIVEN}
    assert event.headers == {"traceparent": GIVEN}
    assert parcel.headers == {"colour": "red", "traceparent": GIVEN}


def test_a_job_whose_message_has_no_trace_begins_one():
    event, parcel = run(pack, {}).sent
    assert trace.read(event.headers["traceparent"])
    assert event.headers["traceparent"] == parcel.headers["traceparent"]


def test_a_message_sent_outside_of_a_trace_has_none():
    conn = FakeConnection()
    publish(conn, "shop", "packed", {})
    assert conn.sent[0].headers is None
