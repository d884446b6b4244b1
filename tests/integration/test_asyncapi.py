"""docs/asyncapi.yaml is true: messages by it are accepted, and those of the broker match it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema_rs
import kombu
import psycopg
import pytest
import yaml

from devservices import GuardedProcess
from pizza.app import create_task_app
from pizza.domain.stations import STATION_NAMES, STATIONS
from pizza.kitchen.storage import set_stations
from pizza.orders import actions
from pizza.processes.setup import setup_queues

from ..support.waiting import wait_until

FILE = Path(__file__).resolve().parents[2] / "docs" / "asyncapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
PROGRAM = Path(sys.executable).with_name("restaurant-system")


def check(message: str, part: str, instance: Any) -> None:
    """Hold a part of a message (headers, payload, x-amqp-properties) against the file."""
    assert part in MESSAGES[message], message
    whole = {**DOCUMENT, "$ref": f"#/components/messages/{message}/{part}"}
    jsonschema_rs.Draft7Validator(whole).validate(instance)


# --- the file itself ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MESSAGES)
def test_every_example_fits_its_own_schema(name):
    assert MESSAGES[name]["examples"]
    for example in MESSAGES[name]["examples"]:
        for part in ("headers", "payload"):
            if part in example:
                check(name, part, example[part])


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("order_from_outside", {"customer_name": "Jane", "items": []}),
        ("order_from_outside", {"items": [{"name": "Pizza", "quantity": 1, "price": 1}]}),
        ("status_request", {"order_number": "ORD_20241216_001", "changed_by": "desk"}),
        (
            "status_request",
            {"order_number": "ORD_1", "new_status": "eaten", "changed_by": "desk"},
        ),
        ("order", {**MESSAGES["order"]["examples"][0]["payload"], "priority": 11}),
        ("status_update", {"order_number": "ORD_20241216_001", "new_status": "ready"}),
    ],
)
def test_the_schemas_refuse_invalid_documents(name, payload):
    with pytest.raises(jsonschema_rs.ValidationError):
        check(name, "payload", payload)


def test_every_reference_leads_somewhere():
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "$ref":
                    found: Any = DOCUMENT
                    for step in value.removeprefix("#/").split("/"):
                        found = found[step]
                else:
                    walk(value)
        elif isinstance(node, list):
            for each in node:
                walk(each)

    walk(DOCUMENT)


def test_exchanges_queues_and_bindings_are_those_that_are_declared():
    topology = create_task_app().topology
    assert DOCUMENT["x-topology"]["exchanges"] == {
        each.name: {
            "type": each.type,
            "durable": each.durable,
            **({"arguments": each.arguments} if each.arguments else {}),
        }
        for each in topology.exchanges
    }
    documented = DOCUMENT["x-topology"]["queues"]
    declared = {each.name: described(each) for each in topology.queues}
    assert documented == declared


def described(queue: kombu.Queue) -> dict[str, Any]:
    """A queue as the file describes it."""
    assert queue.durable and not queue.auto_delete and not queue.exclusive
    bindings = [(each.exchange.name, each.routing_key or "") for each in queue.bindings or ()]
    if queue.exchange and queue.exchange.name:
        bindings.append((queue.exchange.name, queue.routing_key or ""))
    found: dict[str, Any] = {
        "bindings": [{"exchange": name, "key": key} for name, key in sorted(bindings, reverse=True)]
    }
    if queue.queue_arguments:
        found["arguments"] = queue.queue_arguments
    return found


def test_tasks_and_stations_are_those_of_the_program():
    schemas = DOCUMENT["components"]["schemas"]
    tasks = ["cook_order", *(each.task for each in STATIONS)]
    assert schemas["TaskHeaders"]["properties"]["task"]["enum"] == tasks
    stages = schemas["OrderAtStation"]["allOf"][1]["properties"]["stage"]["enum"]
    assert stages == list(STATION_NAMES)
    queues = [
        DOCUMENT["channels"][name]["address"] for name in ("quality", "packaging", "couriers")
    ]
    assert queues == [each.queue for each in STATIONS]


# --- on the wire ----------------------------------------------------------------------------------


@dataclass
class Wire:
    """A client that knows nothing but the file; and the restaurant's processes."""

    db_url: str
    broker_url: str
    folder: Path
    closing: ExitStack
    seen: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        link = self.closing.enter_context(kombu.Connection(self.broker_url))
        self.channel = link.channel()
        self.copies = {
            exchange: self._copy(exchange)
            for exchange in ("orders_topic", "notifications_fanout", "dead_letters")
        }
        self.answers = self.channel.queue_declare("", exclusive=True).queue

    def _copy(self, exchange: str) -> str:
        queue = self.channel.queue_declare("", exclusive=True).queue
        self.channel.queue_bind(queue, exchange, "#")
        return str(queue)

    def publish(self, channel: str, where: str, payload: Any, **properties: Any) -> None:
        """Publish to a channel of the file, as the file says."""
        exchange = DOCUMENT["channels"][channel]["bindings"]["amqp"]["exchange"]["name"]
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        message = self.channel.prepare_message(body, properties=properties)
        self.channel.basic_publish(message, exchange=exchange, routing_key=where)

    def all(self, exchange: str) -> list[Any]:
        """All messages that have passed an exchange."""
        found = self.seen.setdefault(exchange, [])
        found += self.drain(self.copies[exchange])
        return found

    def drain(self, queue: str) -> list[Any]:
        """Removes and returns all messages of a queue."""
        found = []
        while (message := self.channel.basic_get(queue, no_ack=True)) is not None:
            found.append(message)
        return found

    def peek(self, queue: str) -> Any:
        """The first message of a queue, once there is one; it stays there."""
        message = wait_until(lambda: self.channel.basic_get(queue), 20, f"a message in {queue}")
        self.channel.basic_reject(message.delivery_tag, requeue=True)
        return message

    def start_cook(self, name: str, *flags: str) -> None:
        """Start a worker."""
        quick = ("--cooking-time=0", "--station-time=0")
        self.start(name, "--mode=kitchen-worker", f"--worker-name={name}", *quick, *flags)

    def start(self, name: str, *flags: str) -> None:
        """Start a process."""
        command = [str(PROGRAM), f"--db={self.db_url}", f"--rabbitmq={self.broker_url}", *flags]
        output = self.closing.enter_context((self.folder / f"{name}.log").open("ab"))
        process = GuardedProcess(command, output=output, cwd=self.folder)
        self.closing.callback(process.kill)

    def place(self) -> str:
        """Place the example's order from outside; its number, once it is ready."""
        example = MESSAGES["order_from_outside"]["examples"][0]["payload"]
        self.publish("orders_from_outside", "kitchen.order", example, message_id=str(uuid4()))
        wait_until(lambda: [row[2] for row in self.orders()] == ["ready"], 20, "the order is ready")
        return str(self.orders()[0][0])

    def orders(self) -> list[tuple[Any, ...]]:
        """Number, customer, status and stage of all orders."""
        with psycopg.connect(self.db_url) as conn:
            return conn.execute(
                "select number, customer_name, status, stage from orders order by created_at"
            ).fetchall()


@pytest.fixture
def wire(db_url: str, broker_url: str, tmp_path: Path) -> Iterator[Wire]:
    setup_queues(broker_url)
    with psycopg.connect(db_url, autocommit=True) as conn:
        set_stations(conn, STATION_NAMES)
    with ExitStack() as closing:
        client = Wire(db_url, broker_url, tmp_path, closing)
        for each in STATIONS:
            client.drain(each.queue)
        yield client


def check_message(kind: str, message: Any) -> Any:
    """Hold a message from the wire against the file; gives its body."""
    properties = dict(message.properties)
    headers = properties.pop("application_headers", None) or {}
    check(kind, "x-amqp-properties", properties)
    if "headers" in MESSAGES[kind]:
        check(kind, "headers", headers)
    if "payload" not in MESSAGES[kind]:
        return message.body
    payload = json.loads(message.body)
    check(kind, "payload", payload)
    return payload


def test_an_order_by_the_file_is_cooked_and_everything_on_its_way_fits_the_file(wire):
    example = MESSAGES["order_from_outside"]["examples"][0]["payload"]
    wire.publish(
        "orders_from_outside",
        "kitchen.delivery",
        example,
        message_id=str(uuid4()),
        reply_to=wire.answers,
        correlation_id="our 17",
    )
    wire.start_cook("cook")

    (answer,) = wait_until(lambda: wire.drain(wire.answers), 20, "the answer")
    number = check_message("order_taken", answer)["order_number"]
    assert answer.properties["correlation_id"] == "our 17"

    for each in STATIONS:
        task = wire.peek(each.queue)
        order = check_message("station_task", task)
        assert (order["order_number"], order["stage"]) == (number, each.name)
        assert task.properties["application_headers"]["task"] == each.task
        wire.start_cook(each.name, f"--station={each.name}")
    wait_until(lambda: [row[2:] for row in wire.orders()] == [("delivered", None)], 20, "the end")

    (message,) = wire.all("orders_topic")
    order = check_message("order", message)
    assert order["customer_name"] == example["customer_name"]
    assert order["items"] == example["items"]
    assert message.delivery_info["routing_key"] == "kitchen.delivery.10"
    wait_until(lambda: len(wire.all("notifications_fanout")) >= 5, 20, "all news")
    news = [check_message("status_update", each) for each in wire.all("notifications_fanout")]
    assert [each["new_status"] for each in news] == [
        "received", "cooking", "ready", "out-for-delivery", "delivered",
    ]  # fmt: skip
    assert [each["sequence"] for each in news] == [1, 2, 3, 4, 5]
    assert not wire.all("dead_letters")


def test_what_is_sent_back_travels_again_and_fits_the_file(wire):
    wire.start_cook("cook")
    number = wire.place()
    with psycopg.connect(wire.db_url, autocommit=True) as conn:
        actions.transition_order(conn, number, "received", by="quality", reason="burnt")
    wait_until(lambda: len(wire.all("orders_topic")) == 2, 20, "the second order message")
    first, again = (check_message("order", each) for each in wire.all("orders_topic"))
    assert "stage" not in first
    assert again["stage"] == "kitchen"
    wait_until(lambda: len(wire.all("notifications_fanout")) >= 6, 20, "all news")
    news = [check_message("status_update", each) for each in wire.all("notifications_fanout")]
    assert [each["new_status"] for each in news] == ["received", "cooking", "ready"] * 2
    assert news[3]["notes"] == "staff: burnt"


def test_a_status_request_by_the_file_is_answered(wire):
    wire.start_cook("cook")
    wire.start("tracking", "--mode=tracking-service")
    request = MESSAGES["status_request"]["examples"][1]["payload"] | {"order_number": wire.place()}
    properties = {"reply_to": wire.answers, "correlation_id": "ours 18"}
    for asked, right in ((request, True), ({**request, "order_number": "ORD_20241216_999"}, False)):
        check("status_request", "payload", asked)
        wire.publish(
            "status_requests", "tracking.status", asked, message_id=str(uuid4()), **properties
        )
        (answer,) = wait_until(lambda: wire.drain(wire.answers), 20, "the answer")
        assert check_message("request_answered", answer)["ok"] is right
        assert answer.properties["correlation_id"] == "ours 18"
    assert wire.orders()[0][2] == "cancelled"


def test_orders_come_in_by_every_key_and_one_sent_twice_counts_once(wire):
    address = DOCUMENT["channels"]["orders_from_outside"]
    wire.start_cook("cook")
    example = MESSAGES["order_from_outside"]["examples"][1]["payload"]
    keys = [f"kitchen.{where}" for where in address["parameters"]["where"]["enum"]]
    for key in keys:
        identity = f"mine, by {key}"
        for _ in range(2):
            wire.publish(
                "orders_from_outside",
                key,
                {**example, "customer_name": f"Guest {key}"},
                message_id=identity,
            )
    wait_until(lambda: len(wire.orders()) >= len(keys), 20, "all are orders")
    wait_until(lambda: {row[2] for row in wire.orders()} == {"ready"}, 20, "all are ready")
    assert sorted(row[1] for row in wire.orders()) == sorted(f"Guest {key}" for key in keys)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"no JSON", "not JSON"),
        ({"customer_name": "Jane", "items": []}, "items"),
        (
            {
                "customer_name": "Jane",
                "items": [{"name": "Pizza", "quantity": 1, "price": 15.99}],
                "total_amount": 15,
            },
            "total_amount is 15, but the items cost 15.99",
        ),
    ],
    ids=["no JSON", "no items", "wrong total"],
)
def test_a_bad_order_is_a_dead_letter_with_its_reason_and_is_answered(wire, payload, reason):
    wire.start_cook("cook")
    wire.publish(
        "orders_from_outside",
        "kitchen.order",
        payload,
        message_id=str(uuid4()),
        reply_to=wire.answers,
        correlation_id="our 19",
    )
    (answer,) = wait_until(lambda: wire.drain(wire.answers), 20, "the answer")
    refusal = check_message("order_refused", answer)
    assert reason in refusal["error"]
    assert answer.properties["correlation_id"] == "our 19"
    (dead,) = wait_until(lambda: wire.all("dead_letters"), 20, "the dead letter")
    check_message("dead_letter", dead)
    assert reason in dead.properties["application_headers"]["reason"]
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    assert _bytes(dead) == body
    assert not wire.orders()


ODD = ["", "0", "x" * 255, "ünï 🍕", " spaces ", '{"json": "%s"}', "order/'; --", "a\nb\tc"]


def test_an_answer_repeats_any_correlation_id(wire):
    good = MESSAGES["order_from_outside"]["examples"][1]["payload"]
    bad = {"customer_name": "Jane", "items": []}
    for correlation_id in ODD:
        for payload in (good, bad):
            wire.publish(
                "orders_from_outside",
                "kitchen.order",
                payload,
                message_id=str(uuid4()),
                reply_to=wire.answers,
                correlation_id=correlation_id,
            )
    wire.start_cook("cook")
    answers = []

    def all_are_answered() -> bool:
        answers.extend(wire.drain(wire.answers))
        return len(answers) >= 2 * len(ODD)

    wait_until(all_are_answered, 20, "all answers")
    given: dict[str, list[Any]] = {"order_taken": [], "order_refused": []}
    for answer in answers:
        kind = "order_refused" if b"error" in _bytes(answer) else "order_taken"
        check_message(kind, answer)
        given[kind].append(answer.properties["correlation_id"])
    assert {kind: sorted(each) for kind, each in given.items()} == {
        "order_taken": sorted(ODD),
        "order_refused": sorted(ODD),
    }


def test_an_answer_that_nobody_waits_for_holds_up_nothing(wire):
    example = MESSAGES["order_from_outside"]["examples"][1]["payload"]
    for payload in (example, {"customer_name": "Jane", "items": []}, b"no JSON"):
        wire.publish(
            "orders_from_outside",
            "kitchen.order",
            payload,
            message_id=str(uuid4()),
            reply_to="a queue that is gone",
            correlation_id="lost",
        )
    wire.start_cook("cook")

    def dead() -> list[str]:
        # The relay sends what comes after an unroutable answer again, under the same ids.
        return sorted({str(each.properties["message_id"]) for each in wire.all("dead_letters")})

    wait_until(lambda: len(dead()) == 2, 20, "both dead letters")
    wait_until(lambda: [row[2] for row in wire.orders()] == ["ready"], 20, "the order is ready")

    def dropped() -> bool:
        with psycopg.connect(wire.db_url) as conn:
            return conn.execute("select 1 from message where task is null").fetchone() is None

    wait_until(dropped, 20, "the answers are dropped")


def _bytes(message: Any) -> bytes:
    return message.body.encode() if isinstance(message.body, str) else bytes(message.body)
