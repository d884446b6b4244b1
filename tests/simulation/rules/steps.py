"""Random sequences of the framework's statements."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE

from ..database import Database
from ..sample_app import LOCK
from ..scheduler import Scheduler
from .comparison import Answers, Both, Client, F, K, R
from .tables import Tables
from .worker_steps import QUEUES, WORKERS, WorkerSteps

TICK = timedelta(minutes=10)
_LIMIT = {"limit": 500}


class Comparison(WorkerSteps):
    """A random sequence of statements.

    Time passes by minutes: for the model by its clock, in the database by moving the rows' times.
    """

    def __init__(self, seed: int, clients: Sequence[Client], answers: Answers) -> None:
        self.rng = random.Random(seed)
        self.model = Database(Scheduler(seed), lambda *_: None)
        for each in clients:
            each.clear()
        first, *others = clients
        self.tables = Tables(first.conn, self.model)
        self.tables.begin()
        both = [Both(each, self.model, answers) for each in others]
        self.relay, self.rival, self.keeper, self.psql = both[:4]
        self.workers, self.sessions = both[4 : 4 + WORKERS], both[4 + WORKERS :]
        self.reservations: list[int | None] = [None] * WORKERS
        self.ids: list[UUID] = []
        self.claims: list[tuple[UUID, int, int]] = []
        self._locks = False

    def run(self, steps: int) -> None:
        """Ask `steps` times, after some messages and workers are there."""
        kinds = (
            [self.send] * 4 + [self.publish] * 6 + [self.elect] * 2 + [self.keep] * 5
            + [self.republish] * 2 + [self.claim] * 6 + [self.under_a_token] * 6
            + [self.end_unclaimed] * 2 + [self.time_passes] * 2 + [self.session] * 2
            + [self.bystand] * 2
        )  # fmt: skip
        for _ in range(4):
            self.send()
        self.relay.ask(R.mark_sent, {"positions": self.pending()})
        for _ in range(2 * WORKERS):
            self.session()
        for n in range(1, steps + 1):
            self.rng.choice(kinds)()
            self.tables.compare_messages()
            if n % 5 == 0 or n == steps:
                self.tables.compare_others()

    # -- senders ----------------------------------------------------------------------------

    def send(self) -> None:
        rng, id = self.rng, UUID(int=len(self.ids) + 1)
        again = bool(self.ids) and rng.random() < 0.2
        if again:
            id = rng.choice(self.ids)
        else:
            self.ids.append(id)
        common = {"id": id, "body": b"{}", "headers": rng.choice((None, Jsonb({"a": 1})))}
        if not again and rng.random() < 0.25:
            way = {"exchange": rng.choice(("", "events")), "routing_key": "k", "priority": 0}
            self.relay.ask(rng.choice((F.publish, F.publish_raw)), common | way)
            self.tables.same_ids()
            return
        queue, rarely = rng.choice(QUEUES), (None, None, None)
        way = {"queue": queue, "exchange": "", "routing_key": queue, "priority": rng.choice((0, 5))}
        wait, needs = rng.choice((*rarely, timedelta(minutes=25))), rng.choice((*rarely, ["oven"]))
        rest = {"task": "t", "countdown": wait, "needs": needs}
        once = again or rng.random() < 0.5
        self.workers[0].ask(F.send_once if once else F.send, common | way | rest)

    # -- the publisher ------------------------------------------------------------------------

    def pending(self, *, some: bool = False) -> list[int]:
        """The positions that the publisher would publish."""
        rng = self.rng
        taken = list(self.model.messages.values())
        unmarked = [rng.choice(taken).position] if some and taken and rng.random() < 0.3 else []
        look = {
            "limit": rng.choice((1, 500)) if some else 500,
            "asleep": rng.random() < 0.5,
            "bytes": rng.choice((1, 5, 1000)) if some else 1000,
            "unmarked": unmarked,
        }
        self.relay.ask(R.has_pending, {"unmarked": unmarked})
        rows = self.relay.ask(R.fetch_pending, look)
        return [row[0] for row in rows if row[0] is not None]

    def publish(self) -> None:
        """A batch, with its confirms cut off anywhere."""
        rng, ask = self.rng, self.relay.ask
        positions = self.pending(some=rng.random() < 0.5)
        some = {"positions": positions[: rng.randint(0, len(positions))]}
        choice = rng.randrange(7)
        if choice <= 1:
            ask(R.mark_sent, some)
        elif choice <= 3:
            ask(R.mark_sent_unlocked, some)
        elif choice == 4:
            ask(R.park_message, some | {"delay": timedelta(minutes=15)})
        elif choice == 5:
            ask(R.drop_unroutable_events, some)
        elif positions:
            end = {"exchange": DEAD_LETTER_EXCHANGE, "headers": Jsonb({"reason": "no way"})}
            ask(R.dead_letter_unpublishable, end | {"position": rng.choice(positions)})
            self.tables.same_ids()
        ask(rng.choice((R.publisher_sleep, R.publisher_wake)))

    def elect(self) -> None:
        leader, other = self.relay, self.rival
        if self.rng.random() < 0.5:
            leader, other = self.rival, self.relay
        leads = leader.ask(R.leader_acquire)[0][0]
        if leads and not leader.ask(R.legacy_leader_exists)[0][0]:
            leader.ask(R.legacy_leader_acquire)
            leader.ask(R.leader_heartbeat, {"broker": self.rng.choice(["ok", "away", "blocked"])})
        if leads:
            other.ask(R.leader_acquire)
        self.tables.refresh()
        other.ask(R.legacy_leader_exists)
        other.ask(R.leader_status)
        if self.rng.random() < 0.5:
            other.ask(R.candidate_announce)
        if leads:
            self.tables.refresh()
            leader.ask(R.leader_heartbeat, {"broker": self.rng.choice(["ok", "away", "blocked"])})
        if self.rng.random() < 0.7:
            leader.ask(R.leader_release)
        else:
            other.ask(R.leader_terminate)
            self.reopen()

    def reopen(self) -> None:
        """Connect again what was terminated; the server ends such a session soon."""
        for each in (self.relay, self.rival, *self.workers, *self.sessions):
            if each.double.ended:
                self.tables.wait_for_end(each.real.info.backend_pid)
                each.reopen()

    # -- the keeper ---------------------------------------------------------------------------

    def keep(self) -> None:
        rng, ask = self.rng, self.keeper.ask
        self.tables.refresh()
        choice = rng.randrange(8)
        if choice <= 1:
            ask(K.stage_due, {"pending_limit": rng.choice((1, 3, 1000))})
            self.tables.same_positions()
            ask(K.seconds_until_due)
        elif choice == 2:
            ask(K.rescue_orphaned, _LIMIT)
            self.tables.same_positions()
        elif choice <= 4:
            ask(K.redeliver_noted, _LIMIT)
            self.tables.same_positions()
        elif choice == 5:
            for worker, _ in ask(K.expired_workers, _LIMIT):
                ask(K.terminate_worker, {"worker": worker})
                self.reopen()
            ask(K.delete_dead_workers)
        elif choice == 6:
            name = {"name": rng.choice(("tidy", "count"))}
            ask(K.claim_periodic_run, name | {"interval": timedelta(minutes=rng.choice((5, 15)))})
            ask(K.periodic_last_runs)
        else:
            ask(K.count_workers)
            ask(K.newest_claimed)

    def republish(self) -> None:
        """Find messages that the broker lost, and publish a page of them."""
        rng, ask = self.rng, self.keeper.ask
        self.tables.refresh()
        before = rng.choice((timedelta(minutes=1), -TICK / 2))
        for (queue,) in ask(K.queues_with_waiting):
            where = {"queue": queue, "limit": rng.choice((1, 500)), "before": before}
            ask(K.count_waiting, where)
            priority = ask(K.next_priority, where | {"below": rng.choice((5, 32_767))})[0][0]
            page = where | {"priority": 0 if priority is None else priority, "after": -1}
            rows = ask(K.waiting_page, page)
            ask(K.find_overtaken, page)
            ask(K.mark_republished, {"ids": [row[1] for row in rows]})
        ids = rng.sample(self.ids, min(3, len(self.ids)))
        ask(K.find_deliverable, {"ids": ids, "priorities": [rng.choice((0, 5)) for _ in ids]})

    # -- the rest -----------------------------------------------------------------------------

    def bystand(self) -> None:
        """A session of psql locks messages, or releases them."""
        if self._locks:
            self.psql.rollback()
        else:
            self.psql.begin()
            waiting = [row.id for row in self.model.messages.values() if row.state == "pending"]
            chosen = {self.rng.choice(self.ids), *waiting[:1], *(c[0] for c in self.claims[-1:])}
            ids = sorted(chosen & self.model.messages.keys())
            self.psql.ask(LOCK, {"ids": ids})
        self._locks = not self._locks

    def time_passes(self) -> None:
        if self._locks:
            self.bystand()  # the rows could not be moved
        self.tables.move(TICK)
