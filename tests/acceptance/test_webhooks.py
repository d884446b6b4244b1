"""Webhooks end to end: from an order to a receiver that verifies each delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..support.restaurant import Program, Restaurant, eventually
from ..support.webhook_receiver import WebhookReceiver

Make = Callable[[], Restaurant]
HERE: dict[str, Any] = {"webhook_private_targets": "yes", "webhook_schemes": "https,http"}
# The waits between attempts are cut short: what is due later is due now.
_NOW = "update message set available_at = now() where state = 'scheduled' returning 1 as one"


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    found = WebhookReceiver()
    yield found
    found.close()


@pytest.fixture
def gone() -> Iterator[WebhookReceiver]:
    found = WebhookReceiver()
    found.always = 410
    yield found
    found.close()


@pytest.fixture
def hanging() -> Iterator[WebhookReceiver]:
    found = WebhookReceiver()
    found.always = found.hang
    yield found
    found.close()


def deliver(restaurant: Restaurant, threads: int = 2) -> Program:
    flags = {"mode": "webhook-worker", "webhook_threads": threads, "grace": 1, **HERE}
    worker = restaurant.start(
        "webhooks", *(f"--{name.replace('_', '-')}={value}" for name, value in flags.items())
    )
    worker.wait_for("worker_connected", count=threads)
    return worker


def register(restaurant: Restaurant, url: str, **fields: Any) -> dict[str, Any]:
    answer = restaurant.client.post("/webhooks", {"url": url, **fields})
    assert answer.status == 201, answer
    return dict(answer.document)


def deliveries(restaurant: Restaurant, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    """Its log, oldest first."""
    answer = restaurant.client.get(f"/webhooks/{webhook['id']}/deliveries")
    assert answer.status == 200, answer
    return list(answer.document[::-1])


def test_each_step_of_an_order_is_delivered_despite_failures_and_a_hanging_webhook(
    new_restaurant: Make, receiver: WebhookReceiver, hanging: WebhookReceiver, gone: WebhookReceiver
) -> None:
    # Given a receiver that fails once, one that has gone for good, and one that never answers
    restaurant = new_restaurant()
    restaurant.open(**HERE)
    worker, tracker = deliver(restaurant), restaurant.track(ready=False)
    restaurant.start_cook("mario")
    tracker.wait_for("service_started")
    left = register(restaurant, gone.url())
    stuck = register(restaurant, hanging.url())
    good = register(restaurant, receiver.url())
    receiver.answers = [500]

    # When an order goes through the kitchen
    number = restaurant.place()
    restaurant.ledger.wait_for("ready", [number], 15)

    def told() -> dict[str, Any]:
        return {each.json["type"]: each for each in receiver.received}

    def all_delivered() -> bool:
        restaurant.ledger.rows(_NOW)
        states = [each["state"] for each in deliveries(restaurant, good)]
        return states == ["delivered"] * 3

    # Then the good one gets each step, signed, while another one hangs
    eventually(all_delivered, 40, "each step is delivered")
    assert set(told()) == {"order.received", "order.cooking", "order.ready"}
    for each in told().values():
        assert each.verified_by(good["secret"]) and not each.verified_by(stuck["secret"])
        assert each.json["data"]["order_number"] == number
        assert each.json["data"]["event_id"] == each.id
    assert sum(each["attempts"] for each in deliveries(restaurant, good)) == 3 + 1
    assert hanging.received and not [
        each for each in deliveries(restaurant, stuck) if each["state"] == "delivered"
    ]
    # And a receiver that answered 410 gets nothing more
    worker.wait_for("webhook_disabled")
    assert len(gone.received) == 1
    assert not restaurant.client.get(f"/webhooks/{left['id']}").document["enabled"]
    assert deliveries(restaurant, left)[0]["problem"] == "answered 410"
    assert restaurant.client.post(f"/webhooks/{left['id']}/test").status == 409
    # And a worker that stops releases the delivery that hangs
    assert worker.stop() == 0
    assert all(each["secret"] not in worker.stdout_path.read_text() for each in (good, stuck))
