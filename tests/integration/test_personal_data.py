"""A customer's personal data: exported, erased from every table, and kept for a limited time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from pizza.app import create_task_app
from pizza.config.settings import Settings
from pizza.customers import personal_data, profiles
from pizza.database.connection import BoundedConnection
from pizza.database.planning import index_plans
from pizza.database.queries import Queries
from pizza.domain.errors import CustomerHasOrders, CustomerNotFound
from pizza.domain.order import ClientQuota, IdempotencyKey, OrderDraft, OrderItem
from pizza.orders import actions, orders
from pizza.taskqueue.task import publish
from pizza.tracking import recorder
from pizza.webhooks import webhooks

from ..support.order_events import event, status
from ..support.personal_columns import CUSTOMER, NOBODY, STAFF

# No other word of the database looks like this one, however it is written.
NEEDLE = "quexwobble"
NAME = "Zoë Quexwobble"
SPELLINGS = (NAME, "ZOË   QUEXWOBBLE", "zoe\u0308 quexwobble ")
ADDRESS = "12 Quexwobble Street"
KEEP = timedelta(days=365)

COLUMNS = """
select c.table_name, c.column_name, c.data_type from information_schema.columns c
join information_schema.tables t using (table_schema, table_name)
where c.table_schema = 'public' and t.table_type = 'BASE TABLE'
order by 1, 2
"""


def place(conn: BoundedConnection, name: str, **fields: Any) -> str:
    item = OrderItem("Margherita Pizza", 2, Decimal("15.99"))
    call = {each: fields.pop(each) for each in ("key", "client") if each in fields}
    return orders.place_order(conn, OrderDraft(name, (item,), **fields), **call).number


def finish(conn: BoundedConnection, *numbers: str) -> None:
    """Lead orders to their end, as cooks and stations do."""
    for number in numbers:
        conn.execute(
            "update orders set status = 'ready', stage = 'handover', in_kitchen = false,"
            " version = version + 1, completed_at = now() where number = %s",
            [number],
        )
        conn.execute("delete from message where task is not null")
        actions.deliver(conn, number, by="Anna")


def receive(conn: BoundedConnection) -> None:
    """Have the tracking service receive what waits in the outbox; the rows stay there."""
    rows = conn.execute(
        "select id, body from message where exchange = 'notifications_fanout' order by position"
    )
    for id, body in rows.fetchall():
        recorder.on_notification(event(json.loads(bytes(body)), str(id)), conn)


def places(conn: BoundedConnection) -> Iterator[str]:
    """Every column that holds the needle: in text, JSON and bytes, whatever the case."""
    for table, column, kind in conn.execute(COLUMNS).fetchall():
        if kind in ("text", "character varying", "jsonb", "bytea", "ARRAY"):
            query = f'select "{column}" from "{table}" where "{column}" is not null'.encode()
            for (value,) in conn.execute(query).fetchall():
                text = bytes(value).decode(errors="replace") if kind == "bytea" else str(value)
                if NEEDLE in text.casefold():
                    yield f"{table}.{column}"


@pytest.fixture
def customer_orders(conn: BoundedConnection) -> list[str]:
    """Orders of one customer and one neighbour that have used everything there is."""
    webhooks.add_webhook(conn, "https://hooks.example/pizza", None, None)
    first, second, third = SPELLINGS
    profiles.set_vip(conn, NAME, True, by="Anna")
    numbers = [
        place(
            conn,
            first,
            order_type="delivery",
            delivery_address=ADDRESS,
            key=IdempotencyKey(f"{NEEDLE}-1", b"digest of Quexwobble"),
            client=ClientQuota(b"\1" * 32, 25, b"\2" * 32),
        ),
        place(conn, second, order_type="dine-in", table_number=7),
        place(conn, third),
        place(conn, "Neighbour"),
    ]
    delivered, moved, cancelled, neighbours = numbers
    actions.set_priority(conn, moved, 9, reason=f"Birthday of {NAME}", by="Anna")
    actions.cancel(conn, cancelled, reason=f"{NAME} has called", by=NAME)
    receive(conn)
    finish(conn, delivered, moved, neighbours)
    conn.execute("update orders set status = 'delivered' where number = %s", [delivered])
    conn.execute(
        "update webhook_delivery set problem = 'answered 500: no ' || %s where order_number <> %s",
        [NAME, neighbours],
    )
    conn.execute(
        "insert into notification_delivery (subscriber, event_id, order_number, status, attempts,"
        " outcome, reason) select 'board', event_id, order_number, new_status, 1, 'failed', %s"
        " from tracking_event where order_number <> %s",
        [f"cannot print {NAME.upper()}", neighbours],
    )
    conn.execute(
        "insert into tracking_request (message_id, order_number, new_status, changed_by, answer)"
        " values (%s, %s, 'cancelled', %s, %s)",
        [f"from {NEEDLE}", cancelled, NAME, Jsonb({"ok": False, "error": f"no, {NAME}"})],
    )
    conn.execute(
        "insert into merged_name (kind, kept, merged) values ('customer', 'zoë quexwobble', %s)",
        [Jsonb({"key": "zoë  quexwobble", "name": second, "vip": False})],
    )
    make_dead(conn, {"customer_name": NAME.upper(), "items": []}, "no items")
    make_dead(conn, {"customer_name": "Neighbour", "notes": f"is with {NAME}"}, "a neighbour's")
    make_dead(conn, b"\xff not JSON, from Quexwobble, Zo\xc3\xab Quexwobble", "not JSON")
    make_dead(conn, {"number": cancelled}, f"cannot be printed for {NAME}", traceback=f"for {NAME}")
    return numbers


def make_dead(
    conn: BoundedConnection, body: dict[str, Any] | bytes, reason: str, traceback: str | None = None
) -> None:
    """A dead message, with its copy for the dead-letter queue in the outbox."""
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    conn.execute(
        "select message_dead_letter_raw('dead_letters', 'kitchen_queue', %s, %s, %s, %s)",
        [raw, Jsonb({"reason": reason, "from": NEEDLE}), uuid4(), traceback],
    )


def test_every_column_is_declared_as_personal_or_not(conn: BoundedConnection) -> None:
    declared = [
        *CUSTOMER,
        *STAFF,
        *(f"{table}.{column}" for table, names in NOBODY.items() for column in names.split()),
    ]
    assert len(declared) == len(set(declared))
    existing = {f"{table}.{column}" for table, column, _ in conn.execute(COLUMNS).fetchall()}
    assert set(declared) == existing, "tests/support/personal_columns.py has to say whose they are"


def test_an_erased_name_is_in_no_column_of_the_database(
    conn: BoundedConnection, customer_orders: list[str]
) -> None:
    filled = set(places(conn))
    erased = personal_data.erase(conn, "zoë QUEXWOBBLE")

    assert (erased.orders, erased.dead_messages) == (3, 3)
    # The neighbour's dead message names this customer: it is the neighbour's data.
    left = [place for place in places(conn) if place not in neighbours_places(conn)]
    assert left == []
    text = {column for column in CUSTOMER if column not in NOT_TEXT}
    assert text - filled == set(), "the test fills no such column"


# Columns that cannot hold the needle.
NOT_TEXT = {
    "orders.table_number",
    "orders.trace",
    "client_order.client_hash",
    "client_order.network_hash",
    "customers.vip",
    "tracking_event.changed_by",
}


def neighbours_places(conn: BoundedConnection) -> set[str]:
    """The dead message of the neighbour and its copy, which the neighbour may have erased."""
    rows = conn.execute("select body from dead_message").fetchall()
    assert [json.loads(bytes(body))["customer_name"] for (body,) in rows] == ["Neighbour"]
    return {"dead_message.body", "dead_message.headers", "message.body", "message.headers"}


def test_orders_keep_items_sums_and_times(
    conn: BoundedConnection, customer_orders: list[str]
) -> None:
    query = (
        "select number, total_amount, created_at, completed_at, status, version,"
        " (select count(*) from order_items i where i.order_id = o.id),"
        " (select array_agg(l.status order by l.sequence) from order_status_log l"
        "  where l.order_id = o.id)"
        " from orders o order by number"
    )
    before = conn.execute(query).fetchall()
    personal_data.erase(conn, NAME)
    assert conn.execute(query).fetchall() == before
    for number in customer_orders[:3]:
        order = orders.get_order(conn, number)
        assert (order.customer_name, order.delivery_address) == ("(erased)", None)
    assert orders.get_order(conn, customer_orders[3]).customer_name == "Neighbour"
    log = orders.order_history(conn, customer_orders[1])
    assert [change.changed_by for change in log] == ["order-service", "Anna", "Anna"]


def test_an_erased_customer_is_neither_a_vip_nor_a_repeat_customer(
    conn: BoundedConnection, customer_orders: list[str]
) -> None:
    personal_data.erase(conn, NAME)
    with pytest.raises(CustomerNotFound):
        profiles.customer(conn, NAME)
    with pytest.raises(CustomerNotFound):
        personal_data.erase(conn, NAME)
    with pytest.raises(CustomerNotFound):
        personal_data.export(conn, "(erased)")
    again = orders.get_order(conn, place(conn, NAME))
    assert (again.customer_type, again.priority) == ("regular", 1)
    assert not profiles.customer(conn, NAME).vip


def test_a_late_notification_stores_no_person(
    conn: BoundedConnection, customer_orders: list[str]
) -> None:
    personal_data.erase(conn, NAME)
    late = status(
        None, "delivered", order_number=customer_orders[0], customer_name=NAME, courier=NAME
    )
    recorder.on_notification(event(late), conn)
    rows = conn.execute(
        "select payload from webhook_delivery where event_id = %s", [late["event_id"]]
    ).fetchall()
    assert [json.loads(payload)["data"]["customer_name"] for (payload,) in rows] == ["(erased)"]
    assert NEEDLE not in rows[0][0].casefold()


def test_an_order_that_has_not_ended_is_refused_by_number(conn: BoundedConnection) -> None:
    number = place(conn, NAME)
    with pytest.raises(CustomerHasOrders, match=number):
        personal_data.erase(conn, NAME)
    assert orders.get_order(conn, number).customer_name == NAME
    actions.cancel(conn, number)
    assert personal_data.erase(conn, NAME).orders == 1


def test_an_order_that_another_program_has_just_sent_is_refused(conn: BoundedConnection) -> None:
    actions.cancel(conn, place(conn, NAME))
    body = json.dumps({"customer_name": NAME, "items": []}).encode()
    conn.execute(
        "select outbox_enqueue_task(%s, 'accept_order', 'kitchen_queue', '', '', 1, %s)",
        [uuid4(), body],
    )
    with pytest.raises(CustomerHasOrders, match="message"):
        personal_data.erase(conn, NAME)


def test_an_order_nobody_has_fetched_for_a_day_may_be_erased(conn: BoundedConnection) -> None:
    number = place(conn, NAME)
    conn.execute("delete from message where task is not null")
    conn.execute(
        "update orders set status = 'ready', stage = 'handover', in_kitchen = false,"
        " updated_at = now() - interval '25 hours'"
    )
    assert personal_data.erase(conn, NAME).orders == 1
    actions.deliver(conn, number)
    assert orders.get_order(conn, number).customer_name == "(erased)"


def test_events_of_other_customers_stay_as_they_are(conn: BoundedConnection) -> None:
    actions.cancel(conn, place(conn, NAME))
    actions.cancel(conn, place(conn, "Neighbour"))
    publish(conn, "elsewhere", "key", {"any": "thing"})
    query = "select id, body from message where body::text not like %s order by id"
    mark = "%" + NEEDLE.encode().hex()[1:] + "%"
    before = conn.execute(query, [mark]).fetchall()
    assert personal_data.erase(conn, NAME).messages == 2
    assert set(before) <= set(conn.execute("select id, body from message").fetchall())


def test_an_export_has_all_that_is_stored(
    conn: BoundedConnection, customer_orders: list[str]
) -> None:
    document = personal_data.export(conn, "ZOË quexwobble")

    assert [order["number"] for order in document["orders"]] == customer_orders[:3]
    assert document["orders"][0]["delivery_address"] == ADDRESS
    assert document["orders"][0]["items"][0]["name"] == "Margherita Pizza"
    assert document["orders"][2]["history"][-1]["notes"] == f"staff: {NAME} has called"
    assert document["customers"][0]["vip"] is True
    counts = {what: len(rows) for what, rows in document.items() if isinstance(rows, list)}
    assert counts == {
        "customers": 1, "orders": 3, "idempotency_keys": 1, "clients": 1,
        "webhook_deliveries": 5, "notification_deliveries": 5, "tracking_events": 5,
        "status_requests": 1, "dead_messages": 3, "waiting_messages": 7, "merged_names": 1,
    }  # fmt: skip
    assert "Neighbour" not in str(document)
    with pytest.raises(CustomerNotFound):
        personal_data.export(conn, "Nobody")


def test_orders_that_ended_long_ago_lose_their_customer(
    conn: BoundedConnection, customer_orders: list[str]
) -> None:
    young = place(conn, NAME)
    old_open = place(conn, NAME)
    conn.execute(
        "update orders set created_at = now() - interval '400 days',"
        " updated_at = now() - interval '390 days' where number <> %s",
        [young],
    )
    conn.execute("update dead_message set died_at = now() - interval '366 days'")
    conn.execute("update merged_name set merged_at = now() - interval '366 days'")
    assert personal_data.erase_expired(conn, KEEP, 3) == 3
    assert conn.execute("select count(*) from dead_message").fetchone() == (1,)
    assert [personal_data.erase_expired(conn, KEEP, 3) for _ in range(2)] == [1, 0]
    assert conn.execute("select count(*) from dead_message").fetchone() == (0,)

    names = dict(conn.execute("select number, customer_name from orders").fetchall())
    assert names == {**dict.fromkeys(customer_orders, "(erased)"), young: NAME, old_open: NAME}
    assert profiles.customer(conn, NAME).vip


def test_a_locked_order_is_left_for_the_next_run(conn: BoundedConnection, db_url: str) -> None:
    number = place(conn, NAME)
    actions.cancel(conn, number)
    conn.execute("update orders set created_at = '2020-01-01', updated_at = '2020-01-01'")
    with BoundedConnection.connect(db_url) as other:
        other.execute("select from orders for update")
        with conn.timeout_scope(2):
            assert personal_data.erase_expired(conn, KEEP) == 0
    assert personal_data.erase_expired(conn, KEEP) == 1


def test_old_orders_are_found_by_their_index(conn: BoundedConnection) -> None:
    conn.execute(
        "insert into orders (number, customer_name, customer_key, type, total_amount, status,"
        " in_kitchen, created_at, updated_at)"
        " select 'ORD_20200101_' || n, 'Jo', case when n % 50 = 0 then 'jo' else '' end, 'takeout',"
        " 9, 'delivered', false, '2020-01-01', '2020-01-01' from generate_series(1, 5000) n"
    )
    # Without statistics another index on the same column seems to be as good.
    conn.execute("analyze orders")
    with index_plans(conn):
        query = f"explain {Queries('restaurant/personal_data').lock_expired_orders}"
        lines = conn.execute(query, {"keep": KEEP, "limit": 500}).fetchall()
    plan = "\n".join(line for (line,) in lines)
    assert "orders_with_customer" in plan
    assert "Seq Scan on orders" not in plan
    assert personal_data.erase_expired(conn, KEEP) == 100


@pytest.mark.parametrize(("days", "is_kept"), [(365.0, False), (0.0, True)])
def test_personal_data_may_be_kept_without_end(days: float, is_kept: bool) -> None:
    tasks = {
        task.name for task in create_task_app(Settings(personal_data_days=days)).periodic_tasks
    }
    assert ("personal data" not in tasks) == is_kept
    assert Settings().personal_data_days == 365
