"""Webhooks: types of events, bodies, and signatures as the specification has them."""

from __future__ import annotations

import base64
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pizza.domain import webhooks

# The test vector that implementations of Standard Webhooks share.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRET_BYTES = base64.b64decode(SECRET.removeprefix("whsec_"))
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_that_of_the_published_vector() -> None:
    assert webhooks.signatures([SECRET_BYTES], ID, AT, BODY) == SIGNATURE


def test_during_a_rotation_there_is_a_signature_by_each_secret_the_newest_first() -> None:
    both = webhooks.signatures([b"n" * 32, SECRET_BYTES], ID, AT, BODY)
    first, second = both.split(" ")
    assert first.startswith("v1,") and first != SIGNATURE
    assert second == SIGNATURE


def test_a_secret_has_the_form_of_the_specification() -> None:
    assert webhooks.format_secret(SECRET_BYTES) == SECRET
    assert 24 <= webhooks.SECRET_BYTES <= 64


@pytest.mark.parametrize(
    ("old", "new", "type"),
    [
        (None, "received", "order.received"),
        ("received", "cooking", "order.cooking"),
        ("ready", "out-for-delivery", "order.out_for_delivery"),
        ("received", "received", "order.updated"),
    ],
)
def test_the_type_names_the_new_status(old: str | None, new: str, type: str) -> None:
    assert webhooks.event_type(old, new) == type
    assert type in webhooks.TYPES


def test_a_body_is_compact_ascii_with_type_time_and_data() -> None:
    at = datetime(2024, 12, 16, 10, 32, tzinfo=UTC)
    body = webhooks.payload("order.ready", at, {"customer_name": "Zoë", "odd": "\x00"})
    assert body.isascii() and ": " not in body
    assert json.loads(body) == {
        "type": "order.ready",
        "timestamp": "2024-12-16T10:32:00.000Z",
        "data": {"customer_name": "Zoë", "odd": "\x00"},
    }


def test_what_the_page_for_receivers_does_verifies_what_is_sent_and_nothing_else() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "webhooks.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)

    def check(body: bytes = BODY.encode(), late: int = 0, secret: str = SECRET) -> None:
        now = int(time.time()) - late
        signed = webhooks.signatures([b"n" * 32, SECRET_BYTES], ID, now, BODY)
        headers = {"webhook-id": ID, "webhook-timestamp": str(now), "webhook-signature": signed}
        names["verify"](secret, headers, body)

    check()
    for bad in ({"body": b"{}"}, {"late": 400}, {"secret": webhooks.format_secret(b"x" * 32)}):
        with pytest.raises(ValueError):
            check(**bad)  # type: ignore[arg-type]
