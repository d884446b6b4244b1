"""The rules of the model agree with the real statements on PostgreSQL, in random sequences."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_until

from .rules.claiming import CLAIM_0_2, VERDICTS_0_2
from .rules.comparison import Answers, Client, D, F, K, R
from .rules.steps import Comparison
from .rules.worker_steps import WORKERS

SEQUENCES = 80
STEPS = 25
_CLIENTS = 5 + 2 * WORKERS
# Leases from before the server's start have a grace of ten seconds, which the model knows as well.
_OLD_ENOUGH = "select clock_timestamp() - pg_postmaster_start_time() > interval '11 seconds'"


@pytest.fixture
def clients(db_url: str) -> Iterator[list[Client]]:
    """Some for the leader, its rival and a bystander, and two for each worker."""
    opened = [Client(db_url) for _ in range(_CLIENTS)]
    conn = opened[0].conn
    wait_until(lambda: conn.execute(_OLD_ENOUGH).fetchone() == (True,), 11, "the server is old")
    yield opened
    for each in opened:
        each.conn.close()


def test_the_model_answers_as_the_real_statements_do(clients: list[Client]) -> None:
    answers: Answers = set()
    for seed in range(SEQUENCES):
        try:
            Comparison(seed, clients, answers).run(STEPS)
        except AssertionError as difference:
            raise AssertionError(f"sequence {seed}: {difference}") from difference
    verdicts = {what for query, what in answers if query == F.claim}
    assert verdicts == {*VERDICTS_0_2, "claimed", "locked"}
    before = {what for query, what in answers if query == CLAIM_0_2}
    assert before == {*VERDICTS_0_2.values(), "claimed", "locked"}
    assert expected() <= answers


def expected() -> Answers:
    """Answers without which too little was compared."""
    ended = (F.fence, F.complete, F.retry, F.snooze, F.dead_letter)
    both = (
        F.send_once,
        F.complete,
        F.release,
        F.dead_letter_unclaimed,
        F.try_lock,
        F.end_predecessor,
        D.retry,
        R.fetch_pending,
        R.has_pending,
        R.leader_acquire,
        R.legacy_leader_exists,
        R.leader_heartbeat,
        R.mark_sent_unlocked,
        R.drop_unroutable_events,
        K.stage_due,
        K.rescue_orphaned,
        K.redeliver_noted,
        K.expired_workers,
        K.queues_with_waiting,
        K.count_waiting,
        K.waiting_page,
        K.find_overtaken,
        K.newest_claimed,
        K.find_deliverable,
        K.claim_periodic_run,
    )
    waiting = (F.fence, F.complete, F.dead_letter, R.mark_sent)
    return {
        (R.dead_letter_unpublishable, True),
        (K.terminate_worker, True),
        *((query, answer) for query in ended for answer in (True, "refused")),
        *((query, answer) for query in both for answer in (True, False)),
        *((query, "locked") for query in waiting),
        *((F.renew, (registered, held)) for registered in (True, False) for held in (True, False)),
    }
