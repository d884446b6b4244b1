"""The application on a real database, and orders brought to where a test needs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from pizza.config.settings import Settings
from pizza.database.connection import BoundedConnection, connect
from pizza.database.pool import Pool
from pizza.kitchen import storage as kitchen
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies

from ...support.waiting import wait_until

Place = Callable[..., str]
Cook = Callable[..., None]

_NEEDS: dict[str, dict[str, Any]] = {
    "dine-in": {"table_number": 5},
    "takeout": {},
    "delivery": {"delivery_address": "123 Main St"},
}

# What a cook's and a station's statements leave behind, without their messages.
_COOKING = """
update orders set status = 'cooking', processed_by = %(by)s, version = version + 1,
       started_at = created_at + %(waited)s * interval '1 second'
where number = %(number)s
"""
_READY = """
update orders set status = 'ready', stage = 'handover', version = version + 1,
       completed_at = started_at + %(cooked)s * interval '1 second'
where number = %(number)s
"""


@pytest.fixture
def conn(db_url: str) -> Iterator[BoundedConnection]:
    with connect(db_url, name="test") as open_connection:
        kitchen.set_stations(open_connection, [])
        yield open_connection


@pytest.fixture
def client(db_url: str, conn: BoundedConnection) -> Iterator[FlaskClient]:
    pool = Pool(db_url, size=2, name="test pool")
    try:
        yield create_app(Settings(), Dependencies(pool)).test_client()
    finally:
        pool.close()


def post(client: FlaskClient, path: str, document: Any, **headers: str) -> TestResponse:
    """The answer to a POST; asks again where the database was late, as on a crowded machine."""

    def answered() -> TestResponse | None:
        answer = client.post(path, data=json.dumps(document), headers=headers)
        return None if answer.status_code == 503 else answer

    return wait_until(answered, 5, f"{path} is answered")


@pytest.fixture
def place(client: FlaskClient) -> Place:
    """Places an order; returns its number."""

    def order(kind: str = "takeout", **fields: Any) -> str:
        items = [{"name": "Margherita Pizza", "quantity": 1, "price": 15.99}]
        meal = {"customer_name": "Jo", "order_type": kind, "items": items, **_NEEDS[kind], **fields}
        answer = post(client, "/orders", meal)
        assert answer.status_code == 201, answer.data
        return str(answer.json["order_number"])

    return order


@pytest.fixture
def cook(conn: BoundedConnection) -> Cook:
    """Leads an order to `cooking`, or to `ready`, as if a cook had done so."""

    def lead(
        number: str, to: str = "ready", by: str = "mario", waited: float = 1, cooked: float = 10
    ) -> None:
        words = {"number": number, "by": by, "waited": waited, "cooked": cooked}
        conn.execute(_COOKING, words)
        if to == "ready":
            conn.execute(_READY, words)

    return lead
