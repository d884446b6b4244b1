"""Dead letters: looked at, sent again, thrown away; what is left alone stays, in its order."""

from __future__ import annotations

import amqp

from pizza.database.connection import connect
from pizza.framework import dead_letters
from pizza.framework.broker import Broker
from pizza.framework.dead_letters import DeadLetter

from ..pace import wait_until
from .stage import DEAD_LETTERS, Stage


def broker(stage: Stage) -> Broker:
    return Broker(stage.broker_url, name="test")


def bury(stage: Stage, *labels: str) -> list[str]:
    """Jobs that die at once, one after the other."""
    jobs = []
    for number, label in enumerate(labels, start=1):
        jobs.append(str(stage.send("hopeless", label=label)))
        wait_until(lambda n=number: stage.ready(DEAD_LETTERS) == n, 15, "it is dead")
    return jobs


def test_letters_are_shown_with_their_reason_and_stay(stage: Stage) -> None:
    stage.worker("w")
    jobs = bury(stage, "first", "second")
    for _ in range(2):
        found = dead_letters.letters(broker(stage))
        assert [letter.id for letter in found] == jobs
    assert found[0].reason == "Hopeless: no use"
    assert found[0].task == "play"
    assert found[0].queue == stage.toy.queue("red")
    assert found[0].body == {"mode": "hopeless", "label": "first"}
    assert [letter.id for letter in dead_letters.letters(broker(stage), limit=1)] == jobs[:1]


def test_one_is_sent_again_and_the_others_stay(stage: Stage) -> None:
    worker = stage.worker("w")
    jobs = bury(stage, "first", "second", "third")
    with connect(stage.db_url, name="test") as conn:
        again = lambda letter: letter.id == jobs[1]  # noqa: E731
        assert dead_letters.retry(broker(stage), conn, again) == 1
    # It is tried once more, and dies once more: behind the others now.
    worker.await_log("job_dead", count=4)
    wait_until(lambda: stage.ready(DEAD_LETTERS) == 3, 10, "it is back")
    found = [letter.id for letter in dead_letters.letters(broker(stage))]
    assert found == [jobs[0], jobs[2], jobs[1]]


def test_what_dies_in_the_meantime_is_left_for_the_next_time(stage: Stage) -> None:
    # Given one dead letter, and a worker that has always buried its job anew by the next look.
    worker = stage.worker("w")
    jobs = bury(stage, "first")
    again: list[str] = []

    def choose(letter: DeadLetter) -> bool:
        again.append(letter.id)
        if len(again) < 5:
            stage.send("hopeless", label="another")
            worker.await_log("job_dead", count=1 + len(again))
            wait_until(lambda: stage.ready(DEAD_LETTERS) >= 1, 15, "it is dead")
        return True

    # When all are sent again, then that is the one which lay there.
    with connect(stage.db_url, name="test") as conn:
        assert dead_letters.retry(broker(stage), conn, choose) == 1
    assert again == jobs


def test_what_cannot_be_read_goes_back_to_its_queue_as_it_was(stage: Stage) -> None:
    worker = stage.worker("w")
    with stage.broker() as channel:
        channel.basic_publish(amqp.Message(b"{no json"), "", stage.toy.queue("red"))
    worker.await_log("message_dead")
    wait_until(lambda: stage.ready(DEAD_LETTERS) == 1, 10, "it is dead")
    with connect(stage.db_url, name="test") as conn:
        assert dead_letters.retry(broker(stage), conn, lambda letter: True) == 1
    worker.await_log("message_dead", count=2)


def test_what_is_thrown_away_is_gone(stage: Stage) -> None:
    stage.worker("w")
    jobs = bury(stage, "first", "second")
    assert dead_letters.drop(broker(stage), lambda letter: letter.id == jobs[0]) == 1
    assert [letter.id for letter in dead_letters.letters(broker(stage))] == jobs[1:]
    assert dead_letters.drop(broker(stage), lambda letter: True) == 1
    assert dead_letters.letters(broker(stage)) == []
