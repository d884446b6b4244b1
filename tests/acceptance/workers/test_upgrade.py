"""An upgrade without a break: processes are replaced while customers order and cooks cook."""

from __future__ import annotations

import http.client
import json
import threading
import time
from uuid import uuid4

import psycopg

from ...support.restaurant import Restaurant, eventually, meal

TIMEOUT_S = 15.0
# The message that a new order sends has more fields than we know of.
_NEWER_RELEASE = """
create function add_fields() returns trigger language plpgsql as $$
begin
    new.body := convert_to(rtrim(convert_from(new.body, 'UTF8'), '}') || ', MORE', 'UTF8');
    return new;
end $$;
create trigger add_fields before insert on message for each row
when (new.task = 'cook_order' and new.headers ->> 'order' is null) execute function add_fields()
"""


class RetryingClient(threading.Thread):
    """Orders one dish after the other; what fails is sent once more, and only once."""

    def __init__(self, port: int, *, holds_on: bool) -> None:
        """holds_on: whether it keeps its connection from order to order."""
        super().__init__(daemon=True)
        self.numbers: list[str] = []
        self.failed: list[list[str]] = []
        self.repeated = 0
        self.over = threading.Event()
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self._holds_on = holds_on

    def run(self) -> None:
        while not self.over.wait(0.03):
            headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
            body = json.dumps(meal())
            problems: list[str] = []
            while len(problems) < 2 and not self._take(body, headers, problems):
                time.sleep(0.2)
            self.repeated += bool(problems)
            if len(problems) == 2:
                self.failed.append(problems)

    def _take(self, body: str, headers: dict[str, str], problems: list[str]) -> bool:
        try:
            self._link.request("POST", "/orders", body, headers)
            answer = self._link.getresponse()
            document = json.loads(answer.read())
        except (OSError, http.client.HTTPException) as error:
            problems.append(repr(error))
            self._link.close()
            return False
        if not self._holds_on:
            self._link.close()
        if answer.status != 201:
            problems.append(f"{answer.status} {document}")
            return False
        self.numbers.append(document["order_number"])
        return True


def test_the_order_service_is_followed_by_another_and_no_request_fails_twice(
    new_restaurant,
) -> None:
    restaurant: Restaurant = new_restaurant()
    old = restaurant.open()
    retrying_clients = [
        RetryingClient(restaurant.port, holds_on=bool(number % 2)) for number in range(4)
    ]
    for guest in retrying_clients:
        guest.start()

    def served() -> int:
        return sum(len(guest.numbers) for guest in retrying_clients)

    try:
        eventually(lambda: served() > 20, 20, "guests order")
        new = restaurant.begin(share_port="yes")
        new.wait_for("service_started", 60)
        assert old.stop() == 0
        before = served()
        eventually(lambda: served() > before + 20, 20, "the new one takes orders")
    finally:
        for guest in retrying_clients:
            guest.over.set()
        for guest in retrying_clients:
            guest.join()
    assert [each for guest in retrying_clients for each in guest.failed] == []
    numbers = [number for guest in retrying_clients for number in guest.numbers]
    assert sorted(numbers) == sorted(restaurant.ledger.orders())
    restaurant.start_cook("mario")
    restaurant.ledger.wait_for("ready", numbers, 60)
    restaurant.ledger.check_all_ready()


def test_a_port_is_shared_only_with_the_flag(new_restaurant) -> None:
    restaurant: Restaurant = new_restaurant()
    restaurant.open()
    second = restaurant.begin()
    assert second.exit_code() == 1
    second.expected_code = 1


def test_an_order_message_of_a_newer_release_keeps_its_fields_through_all_stations(
    new_restaurant,
) -> None:
    """From the kitchen to the courier, once sent back to be cooked again on the way."""
    restaurant: Restaurant = new_restaurant()
    restaurant.open(stations="quality,packaging,courier")
    extra = {"allergies": ["nuts", "\u0000"], "tip": 1.25, "gift": {"wrap": True}}
    with psycopg.connect(restaurant.db_url) as conn:
        conn.execute(_NEWER_RELEASE.replace("MORE", json.dumps(extra)[1:]))
    number = restaurant.place("delivery")
    seen = "select task, body from message where task is not null"

    def message(task: str) -> dict:
        def found():
            rows = restaurant.ledger.rows(seen)
            return [json.loads(row["body"]) for row in rows if row["task"] == task]

        (body,) = eventually(found, 15, f"the order is at {task}")
        return body

    restaurant.start_cook("chef").wait_for("order_completed")
    strict = restaurant.start_cook(
        "strict", station="quality", station_time=0, send_back_percent=100
    )
    strict.wait_for("order_sent_back")
    assert strict.stop() == 0
    for task, station in (
        ("check_quality", "quality"),
        ("package_order", "packaging"),
        ("deliver_order", "courier"),
    ):
        body = message(task)
        assert {name: body[name] for name in extra} == extra
        assert (body["order_number"], body["stage"]) == (number, station)
        restaurant.start_cook(f"{station}_1", station=station, station_time=0)
    restaurant.ledger.wait_for("delivered", [number], 15)
