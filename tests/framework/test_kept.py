"""The queue of a named subscriber who is away comes back with the relay, not with its owner."""

from __future__ import annotations

from devservices import RabbitMQ
from pizza.database.connection import connect
from pizza.framework import kept
from pizza.framework.task import publish

from .listener import SCHEMA
from .stage import Stage, wait_until


def say(stage: Stage, *numbers: int) -> None:
    for n in numbers:
        publish(stage.conn, stage.prefix, "event.x", {"n": n, "mode": "ok"})


def test_what_is_published_after_the_disk_was_lost_is_heard(
    stage: Stage, rabbitmq: RabbitMQ
) -> None:
    stage.conn.execute(SCHEMA)
    stage.relay()
    # Given a subscriber who has been there once, and is away
    stage.subscriber(kept=True, alone=True).kill9()
    say(stage, 0)
    stage.await_states()  # the broker has it, and nobody else
    # When the broker loses its disk, and more is said before and after
    rabbitmq.kill9()
    say(stage, 1, 2)
    rabbitmq.wipe()
    say(stage, 3)
    stage.await_states(within=15)
    # Then all of that waits for the subscriber
    stage.subscriber(kept=True, alone=True)
    heard = "select n from heard order by position"
    wait_until(lambda: len(stage.rows(heard)) == 3, 10, "it is heard")
    assert stage.rows(heard) == [(1,), (2,), (3,)]


def test_who_is_not_seen_for_a_week_is_forgotten(stage: Stage) -> None:
    stage.conn.execute(SCHEMA)
    subscriber = stage.subscriber(kept=True, alone=True)
    stage.conn.execute(
        "insert into kept_queue select 'gone', 'gone', exchange, routing_key from kept_queue"
    )
    stage.conn.execute("update kept_queue set seen_at = seen_at - interval '8 days'")
    with connect(stage.db_url, name="chore") as conn:
        kept.look_after(conn)
        assert stage.rows("select name from kept_queue") == [(f"{stage.prefix}.kept",)]
        subscriber.kill9()
        wait_until(lambda: looked_after(stage, conn) == [], 5, "its name is free")


def looked_after(stage: Stage, conn) -> list[tuple[str]]:
    stage.conn.execute("update kept_queue set seen_at = seen_at - interval '8 days'")
    kept.look_after(conn)
    return stage.rows("select name from kept_queue")
