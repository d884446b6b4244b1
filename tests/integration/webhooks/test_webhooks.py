"""Webhooks on a real database and a real receiver: deliveries, signatures, retries, the log."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from pizza.database.connection import BoundedConnection
from pizza.domain.errors import (
    InvalidRequest,
    WebhookDeliveryNotFound,
    WebhookDisabled,
    WebhookNotFound,
)
from pizza.taskqueue import App
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.worker.context import WorkerContext
from pizza.taskqueue.worker.executor import Executor, Outcome
from pizza.tracking.recorder import on_notification
from pizza.webhooks import client, webhooks
from pizza.webhooks.delivery import DeliveryPolicy, delivery_tasks
from pizza.webhooks.storage import Webhook, WebhookDelivery
from pizza.webhooks.webhooks import UrlPolicy, WebhookPatch

from ...support.order_events import NUMBER, event, status
from ...support.webhook_receiver import WebhookReceiver

PRIVATE = UrlPolicy(("https", "http"), allow_private=True)
QUICK = DeliveryPolicy(timeout=0.5, backoff=60)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    found = WebhookReceiver()
    yield found
    found.close()


class WebhookHarness:
    """A webhook at the receiver, events, and a worker that runs due deliveries on request."""

    def __init__(self, conn: BoundedConnection, db_url: str, receiver: WebhookReceiver) -> None:
        self.conn = conn
        self.receiver = receiver
        self._line = ReconnectingConnection(db_url, name="test job", sleep=lambda _: True)
        self._holder = 0

    def add(self, *types: str, path: str = "/hook") -> tuple[Webhook, str]:
        return webhooks.add_webhook(self.conn, self.receiver.url(path), types)

    def track(self, sequence: int = 1, new: str = "cooking", **more: Any) -> dict[str, Any]:
        body = status(sequence, new, **more)
        with self.conn.transaction():
            on_notification(event(body, None), self.conn)
        return body

    def log(self, webhook: Webhook) -> list[WebhookDelivery]:
        return webhooks.list_deliveries(self.conn, str(webhook.id))

    def messages(self) -> list[tuple[UUID, str, float | None]]:
        """What waits: id, body, seconds until it is due."""
        return self.conn.execute(
            """select id, convert_from(body, 'UTF8'),
                      extract(epoch from available_at - now())::float
               from message where task = 'deliver_webhook' order by position"""
        ).fetchall()

    def work(
        self,
        pace: DeliveryPolicy = QUICK,
        policy: UrlPolicy = PRIVATE,
        line: ReconnectingConnection | None = None,
    ) -> Any:
        """Run what waits, due or not, once each; gives the outcomes."""
        return [self.run(id, body, pace, policy, line) for id, body, _ in self.messages()]

    def run(
        self,
        id: UUID,
        body: str,
        pace: DeliveryPolicy = QUICK,
        policy: UrlPolicy = PRIVATE,
        line: ReconnectingConnection | None = None,
    ) -> Outcome:
        """Run one message as a worker would, whatever it waits for."""
        self.conn.execute("update message set state = 'sent' where id = %s", [id])
        app = App("test")
        app.include(delivery_tasks(policy, pace))
        self._holder += 1
        context = WorkerContext("test", self._holder, timedelta(seconds=30), (), line or self._line)
        delivery = Delivery(
            queue="webhooks_queue", delivery_tag=0, redelivered=False, message_id=str(id),
            priority=0, headers={"task": "deliver_webhook"}, body=body.encode(),
        )  # fmt: skip
        return Executor(app, context).execute(delivery, skip_priority_check=True).outcome

    def close(self) -> None:
        self._line.close()


@pytest.fixture
def harness(
    conn: BoundedConnection, db_url: str, receiver: WebhookReceiver
) -> Iterator[WebhookHarness]:
    found = WebhookHarness(conn, db_url, receiver)
    yield found
    found.close()


# --- from an event to its deliveries --------------------------------------------------------------


def test_an_event_becomes_a_delivery_with_its_task_for_each_subscribed_webhook(
    harness: WebhookHarness,
) -> None:
    all_of_it, _ = harness.add()
    ready, _ = harness.add("order.ready", "order.delivered")
    disabled, _ = harness.add()
    webhooks.change_webhook(harness.conn, str(disabled.id), WebhookPatch(enabled=False))

    body = harness.track(1, "cooking")
    harness.track(2, "ready")

    assert [each.type for each in harness.log(all_of_it)] == ["order.ready", "order.cooking"]
    assert [each.type for each in harness.log(ready)] == ["order.ready"]
    assert harness.log(disabled) == []
    first = harness.log(all_of_it)[-1]
    assert (first.state, first.attempts, first.order_number) == ("waiting", 0, NUMBER)
    assert str(first.event_id) == body["event_id"]
    assert json.loads(first.payload) == {
        "type": "order.cooking",
        "timestamp": "2024-12-16T10:32:00.000Z",
        "data": body,
    }
    assert {id for id, _, _ in harness.messages()} == {
        each.id for webhook in (all_of_it, ready) for each in harness.log(webhook)
    }


def test_a_rolled_back_event_leaves_no_delivery_and_a_repeated_one_leaves_one(
    harness: WebhookHarness,
) -> None:
    webhook, _ = harness.add()
    body = status(1)
    with pytest.raises(RuntimeError), harness.conn.transaction():
        on_notification(event(body, None), harness.conn)
        raise RuntimeError
    assert harness.log(webhook) == [] and harness.messages() == []
    harness.conn.execute("delete from tracking_event")
    for _ in range(2):
        with harness.conn.transaction():
            on_notification(event(body, None), harness.conn)
        harness.conn.execute("delete from tracking_event")  # as if tracking had forgotten it
    assert len(harness.log(webhook)) == len(harness.messages()) == 1


def test_without_a_webhook_nothing_is_written(harness: WebhookHarness) -> None:
    harness.track()
    assert harness.conn.execute("select count(*) from message").fetchone() == (0,)


# --- delivering -----------------------------------------------------------------------------------


def test_a_delivery_is_signed_and_noted(
    harness: WebhookHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    webhook, secret = harness.add()
    body = harness.track()

    assert harness.work() == [Outcome.COMPLETED]

    (heard,) = harness.receiver.received
    assert heard.verified_by(secret)
    assert heard.id == body["event_id"]
    assert heard.headers["content-type"] == "application/json"
    assert heard.json["data"] == body
    (noted,) = harness.log(webhook)
    assert (noted.state, noted.attempts, noted.answer, noted.problem) == ("delivered", 1, 204, None)
    assert noted.tried_at and noted.duration is not None and noted.next_at is None
    assert harness.messages() == []
    # Then no secret is in any line
    assert secret not in caplog.text and secret[10:30] not in caplog.text


def test_after_a_rotation_it_is_signed_with_both_secrets_for_a_day(harness: WebhookHarness) -> None:
    webhook, former = harness.add()
    changed, newer = webhooks.rotate_secret(harness.conn, str(webhook.id))
    assert newer != former and changed.former_until is not None
    harness.track(1)
    harness.work()
    assert all(harness.receiver.received[0].verified_by(secret) for secret in (former, newer))

    harness.conn.execute("update webhook set former_until = now()")
    harness.track(2, "ready")
    harness.work()
    assert harness.receiver.received[1].verified_by(newer)
    assert not harness.receiver.received[1].verified_by(former)


def test_a_failure_is_tried_again_under_the_same_id_with_another_timestamp(
    harness: WebhookHarness,
) -> None:
    webhook, secret = harness.add()
    harness.receiver.answers = [(500, {}, "out of dough"), (302, {"Location": "/x"}, "")]
    harness.track()

    assert harness.work() == [Outcome.RESCHEDULED]
    (noted,) = harness.log(webhook)
    assert (noted.state, noted.attempts, noted.answer) == ("waiting", 1, 500)
    assert noted.problem == "answered 500: out of dough"
    (_, _, due) = harness.messages()[0]
    assert due is not None and 3.5 < due <= 5
    assert noted.next_at is not None
    assert webhooks.find_webhook(harness.conn, str(webhook.id)).failing_since is not None

    assert harness.work() == [Outcome.RESCHEDULED]  # a redirect is no success
    assert harness.work() == [Outcome.COMPLETED]
    assert len({each.id for each in harness.receiver.received}) == 1
    assert all(each.verified_by(secret) for each in harness.receiver.received)
    assert [each.path for each in harness.receiver.received] == ["/hook"] * 3
    assert harness.log(webhook)[0].attempts == 3
    assert webhooks.find_webhook(harness.conn, str(webhook.id)).failing_since is None


def test_the_waits_span_about_a_day(harness: WebhookHarness) -> None:
    schedule = DeliveryPolicy().schedule
    waits = [schedule.delay(n).total_seconds() for n in range(1, schedule.max_attempts)]
    assert waits[0] <= 5
    assert waits == sorted(waits) or waits[-1] > 28_000
    assert 15 * 3600 < sum(waits) < 30 * 3600


def test_after_the_last_attempt_it_is_failed_and_no_dead_letter(harness: WebhookHarness) -> None:
    webhook, _ = harness.add()
    harness.receiver.always = 500
    harness.track()
    attempts = DeliveryPolicy().schedule.max_attempts
    outcomes = [harness.work()[0] for _ in range(attempts)]
    assert outcomes == [Outcome.RESCHEDULED] * (attempts - 1) + [Outcome.COMPLETED]
    (noted,) = harness.log(webhook)
    assert (noted.state, noted.attempts, noted.next_at) == ("failed", attempts, None)
    assert harness.conn.execute("select count(*) from message").fetchone() == (0,)
    # And staff can retry it
    harness.receiver.always = 200
    retried = webhooks.retry_delivery(harness.conn, str(webhook.id), str(noted.id))
    assert (retried.state, retried.attempts) == ("waiting", 0)
    assert harness.work() == [Outcome.COMPLETED]
    assert harness.log(webhook)[0].state == "delivered"


@pytest.mark.parametrize("answer", [429, 503])
def test_a_retry_after_is_the_least_wait_for_all_of_its_deliveries(
    harness: WebhookHarness, answer: int
) -> None:
    webhook, _ = harness.add()
    harness.receiver.answers = [(answer, {"Retry-After": "600"}, "")]
    harness.track(1)
    harness.work()
    assert 595 < (harness.messages()[0][2] or 0) <= 600
    # Then what comes now is put off for as long, unattempted
    harness.track(2, "ready")
    assert harness.work() == [Outcome.RESCHEDULED] * 2
    assert all(595 < (due or 0) <= 610 for _, _, due in harness.messages())
    assert [each.attempts for each in harness.log(webhook)] == [0, 1]
    assert len(harness.receiver.received) == 1


def test_410_disables(harness: WebhookHarness) -> None:
    webhook, _ = harness.add()
    harness.receiver.always = 410
    harness.track(1)
    harness.track(2, "ready")
    assert harness.work() == [Outcome.COMPLETED] * 2
    found = webhooks.find_webhook(harness.conn, str(webhook.id))
    assert found.disabled_at is not None and found.disabled_reason == "answered 410 Gone"
    assert [each.state for each in harness.log(webhook)] == ["failed", "failed"]
    assert harness.log(webhook)[0].problem == "the webhook is disabled"
    assert len(harness.receiver.received) == 1
    harness.track(3, "delivered")
    assert harness.messages() == []


def test_a_webhook_that_fails_for_days_is_disabled(harness: WebhookHarness) -> None:
    webhook, _ = harness.add()
    harness.receiver.always = 500
    harness.conn.execute("update webhook set failing_since = now() - interval '73 hours'")
    harness.track()
    harness.work()
    found = webhooks.find_webhook(harness.conn, str(webhook.id))
    assert found.disabled_reason == "has failed for 3 days"
    # And enabled again it begins with a clean sheet
    enabled = webhooks.change_webhook(harness.conn, str(webhook.id), WebhookPatch(enabled=True))
    assert (enabled.disabled_at, enabled.disabled_reason, enabled.failing_since) == (None,) * 3


def test_a_webhook_that_times_out_has_a_longer_pause_each_time(harness: WebhookHarness) -> None:
    webhook, _ = harness.add()
    harness.receiver.always = harness.receiver.hang
    harness.track(1)
    harness.track(2, "ready")
    # The first one times out, the second is snoozed without a request
    assert harness.work() == [Outcome.RESCHEDULED] * 2
    assert len(harness.receiver.received) == 1
    assert [each.attempts for each in harness.log(webhook)] == [0, 1]
    assert harness.log(webhook)[1].problem == "no answer within 0.5 s"
    assert 59 < (harness.messages()[1][2] or 0) < 70
    rests = []
    for _ in range(2):
        harness.conn.execute("update webhook set rests_until = null")
        harness.run(*harness.messages()[0][:2])
        row = harness.conn.execute(
            "select extract(epoch from rests_until - now())::float from webhook"
        )
        rests.append(row.fetchone()[0])
    assert 110 < rests[0] <= 120 and 230 < rests[1] <= 240


def test_each_webhook_gets_one_delivery_at_a_time_and_delays_no_others(
    harness: WebhookHarness, db_url: str
) -> None:
    slow, _ = harness.add()
    webhooks.add_webhook(harness.conn, harness.receiver.url("/quick"))
    began, go = threading.Event(), threading.Event()

    def wait(handler: Any) -> None:
        began.set()
        go.wait(60)
        handler.send_response(200)
        handler.end_headers()

    harness.track(1)
    harness.track(2, "ready")
    by_hook = {each.id: each for each in harness.log(slow)}
    mine = [m for m in harness.messages() if m[0] in by_hook]
    others = [m for m in harness.messages() if m[0] not in by_hook]
    harness.receiver.answers = [wait]
    line = ReconnectingConnection(db_url, name="test other job", sleep=lambda _: True)
    patient = replace(QUICK, timeout=60)
    try:
        held = threading.Thread(target=harness.run, args=(*mine[0][:2], patient, PRIVATE, line))
        held.start()
        assert began.wait(30)
        # Then a second one of the same webhook is snoozed, and the other webhook gets its delivery
        assert harness.run(*mine[1][:2]) is Outcome.RESCHEDULED
        assert [harness.run(*each[:2]) for each in others] == [Outcome.COMPLETED] * 2
        assert [each.path for each in harness.receiver.received] == ["/hook", "/quick", "/quick"]
        go.set()
        held.join(30)
        # And when the first one is done, it is its turn
        assert harness.run(*mine[1][:2]) is Outcome.COMPLETED
    finally:
        go.set()
        line.close()
    assert [each.state for each in harness.log(slow)] == ["delivered"] * 2


def test_where_private_targets_are_not_allowed_nothing_is_sent_to_one(
    harness: WebhookHarness,
) -> None:
    webhook, _ = harness.add()
    harness.track()
    assert harness.work(policy=UrlPolicy(("http",))) == [Outcome.RESCHEDULED]
    assert harness.log(webhook)[0].problem == "127.0.0.1 is not a public address"
    assert harness.work(policy=UrlPolicy(("https",), allow_private=True)) == [Outcome.RESCHEDULED]
    assert harness.log(webhook)[0].problem == "must begin with https://"
    assert not harness.receiver.received


def test_deliveries_of_a_removed_webhook_end_without_an_error(harness: WebhookHarness) -> None:
    webhook, _ = harness.add()
    harness.track()
    webhooks.remove_webhook(harness.conn, str(webhook.id))
    assert harness.work() == [Outcome.COMPLETED]
    assert not harness.receiver.received and harness.messages() == []


# --- staff ----------------------------------------------------------------------------------------


def fields(caught: pytest.ExceptionInfo[InvalidRequest]) -> dict[str, str]:
    return {each.field: each.message for each in caught.value.errors}


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/x", "https://10.1.2.3", "https://[::1]/", "https://169.254.169.254/latest",
     "https://localhost/", "https://[::ffff:10.0.0.1]/"],
)  # fmt: skip
def test_private_targets_are_refused_when_saved_unless_allowed(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        webhooks.validate_patch(UrlPolicy(), WebhookPatch(url))
    assert fields(caught)["url"].startswith("must be public: ")
    webhooks.validate_patch(PRIVATE, WebhookPatch(url))


def test_a_name_that_leads_to_a_private_address_is_refused_when_saved_and_an_unknown_one_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"private.example": "192.168.0.9", "public.example": "93.184.216.34"}

    def look_up(host: str, port: int) -> list[str]:
        if host not in known:
            raise client.DeliveryError(f"{host} cannot be looked up")
        return [known[host]]

    monkeypatch.setattr(client, "_resolve", look_up)
    webhooks.validate_patch(UrlPolicy(), WebhookPatch("https://public.example"))
    webhooks.validate_patch(UrlPolicy(), WebhookPatch("https://not-yet.example"))
    with pytest.raises(InvalidRequest, match=r"leads to 192\.168\.0\.9"):
        webhooks.validate_patch(UrlPolicy(), WebhookPatch("https://private.example"))


def test_invalid_fields_are_refused_one_by_one() -> None:
    with pytest.raises(InvalidRequest) as caught:
        webhooks.validate_patch(
            UrlPolicy(), WebhookPatch("http://a.example", ["order.eaten"], "x\ny")
        )
    assert set(fields(caught)) == {"url", "types", "description"}


def test_fields_left_out_of_a_change_stay(harness: WebhookHarness) -> None:
    webhook, _ = webhooks.add_webhook(harness.conn, "https://a.example", ["order.ready"], "screen")
    changed = webhooks.change_webhook(
        harness.conn, str(webhook.id), WebhookPatch(url="https://b.example")
    )
    assert changed == replace(webhook, url="https://b.example")
    changed = webhooks.change_webhook(
        harness.conn, str(webhook.id), WebhookPatch(types=[], description="")
    )
    assert (changed.types, changed.description) == (None, None)
    off = webhooks.change_webhook(harness.conn, str(webhook.id), WebhookPatch(enabled=False))
    assert off.disabled_at is not None and off.disabled_reason == "by staff"
    with pytest.raises(WebhookDisabled):
        webhooks.test_webhook(harness.conn, str(webhook.id))


def test_a_test_is_delivered_whatever_the_types_of_the_webhook(harness: WebhookHarness) -> None:
    webhook, secret = harness.add("order.ready")
    sent = webhooks.test_webhook(harness.conn, str(webhook.id))
    assert sent.type == "webhook.test"
    harness.work()
    assert harness.receiver.received[0].json["type"] == "webhook.test"
    assert harness.receiver.received[0].verified_by(secret)


def test_a_delivery_that_waits_for_hours_is_made_at_once_and_by_its_new_task_alone(
    harness: WebhookHarness,
) -> None:
    webhook, _ = harness.add()
    harness.receiver.answers = [(503, {"Retry-After": "9999"}, "")]
    harness.track()
    former = harness.messages()[0][:2]
    harness.work()
    harness.conn.execute("update webhook set rests_until = null")
    webhooks.retry_delivery(harness.conn, str(webhook.id), str(harness.log(webhook)[0].id))
    ((_, _, due),) = harness.messages()
    assert due is None
    assert harness.run(*former) is Outcome.SKIPPED
    assert harness.work() == [Outcome.COMPLETED]
    assert len(harness.receiver.received) == 2


def test_the_log_has_pages(harness: WebhookHarness) -> None:
    webhook, _ = harness.add()
    for n in range(1, 6):
        harness.track(n)
    whole = harness.log(webhook)
    page = webhooks.list_deliveries(harness.conn, str(webhook.id), limit=2)
    rest = webhooks.list_deliveries(harness.conn, str(webhook.id), before=str(page[-1].id))
    assert page + rest == whole and len(whole) == 5
    other, _ = harness.add()
    for bad in (str(whole[0].id), "x", str(uuid4())):
        with pytest.raises(InvalidRequest):
            webhooks.list_deliveries(harness.conn, str(other.id), before=bad)


@pytest.mark.parametrize("id", ["7", "x", "-1", "99999999999", "2147483648", "1 ", "\x00"])
def test_an_unknown_webhook_is_not_found(conn: BoundedConnection, id: str) -> None:
    verbs: list[Callable[[], Any]] = [
        lambda: webhooks.find_webhook(conn, id),
        lambda: webhooks.change_webhook(conn, id, WebhookPatch(enabled=True)),
        lambda: webhooks.remove_webhook(conn, id),
        lambda: webhooks.rotate_secret(conn, id),
        lambda: webhooks.test_webhook(conn, id),
        lambda: webhooks.list_deliveries(conn, id),
        lambda: webhooks.retry_delivery(conn, id, str(uuid4())),
    ]
    for verb in verbs:
        with pytest.raises(WebhookNotFound):
            verb()


def test_a_delivery_that_is_not_there_is_not_found(harness: WebhookHarness) -> None:
    webhook, _ = harness.add()
    for id in ("x", str(uuid4()), "\x00"):
        with pytest.raises(WebhookDeliveryNotFound):
            webhooks.retry_delivery(harness.conn, str(webhook.id), id)
