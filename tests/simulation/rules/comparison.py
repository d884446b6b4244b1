"""A random sequence of statements, asked of PostgreSQL and of the model; both have to agree.

Time passes by minutes: for the model by its clock, in the database by moving the rows' times.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from pizza.database.arrays import text_array
from pizza.database.connection import BoundedConnection, connect
from pizza.database.queries import Queries
from pizza.framework.topology import DEAD_LETTER_EXCHANGE

from ..connection import Connection
from ..database import Database
from ..scheduler import Scheduler
from ..toy import LOCK
from ..transaction import Transaction
from . import RULES
from .base import moment
from .tables import Tables, alike

WORKERS = 3
QUEUES = ["red", "blue"]
F, R, K, D = (Queries(name) for name in ("framework", "relay", "keeper", "dead_messages"))
LEASE, TICK = timedelta(minutes=15), timedelta(minutes=10)
_LIMIT = {"limit": 500}
# Answers whose rows come in no order.
UNORDERED = (
    R.confirmed_unlocked, R.drop_events, K.rescue, K.known, K.newest_claims, K.periodic_last_runs,
    K.expired_workers,
)  # fmt: skip
# What an answer says when it is an error.
_ERRORS = {"PZ001": "refused", "55P03": "locked"}

# What was answered to what, so that a test that saw too little is noticed.
Answers = set[tuple[str, Any]]


class Client:
    """A connection to the real database, used by one sequence after the other."""

    def __init__(self, db_url: str) -> None:
        self._db_url = db_url
        self.open()

    def open(self) -> None:
        self.conn = connect(self._db_url, name="rules")
        self.conn.execute("set synchronous_commit = off")
        self.conn.execute("set lock_timeout = '20ms'")

    def clear(self) -> None:
        """Let go of everything that a former sequence has left."""
        self.conn.execute("rollback")
        self.conn.execute("select pg_advisory_unlock_all()")


class Both:
    """One client's connection to the database, and its double in the model."""

    def __init__(self, client: Client, model: Database, answers: Answers) -> None:
        self._client = client
        self._answers = answers
        self._model = model
        self.renew_model()

    @property
    def real(self) -> BoundedConnection:
        return self._client.conn

    def renew_model(self) -> None:
        process = self._model.scheduler.process("client")
        self.double = Connection(
            self._model, process, (RULES | {LOCK: _lock}).get, lambda: None
        )
        self.double.lock_timeout = 0.02

    def reopen(self) -> None:
        """A new session on both sides."""
        self.real.close()
        self._model.end(self.double)
        self._client.open()
        self.renew_model()

    def ask(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        """The answer on which both agree. The parameter `before`: how far from now."""
        real, double = self._really(query, parameters), self._in_the_model(query, parameters)
        if query in UNORDERED:
            real, double = sorted(real, key=str), sorted(double, key=str)
        assert alike(double, real), f"{query}\n{parameters}\nmodel: {double}\nreal:  {real}"
        self._answers.add((query, telling(query, real)))
        return real

    def _really(self, query: str, parameters: dict[str, Any] | None) -> Any:
        try:
            if parameters and "before" in parameters:
                parameters = parameters | {"before": datetime.now(UTC) + parameters["before"]}
            cursor = self.real.execute(query, parameters)
        except psycopg.DatabaseError as error:
            assert error.sqlstate in _ERRORS, error
            return _ERRORS[error.sqlstate]
        return cursor.fetchall() if cursor.description is not None else []

    def _in_the_model(self, query: str, parameters: dict[str, Any] | None) -> Any:
        try:
            if parameters and "before" in parameters:
                at = self._model.scheduler.now + parameters["before"].total_seconds()
                parameters = parameters | {"before": moment(at)}
            rows = self.double.execute(query, parameters or {})
        except psycopg.DatabaseError as error:
            return _ERRORS[error.sqlstate or ""]
        return [tuple(r.values()) if isinstance(r, dict) else r for r in rows.fetchall()]

    def begin(self) -> None:
        self.real.execute("begin")
        self.double.tx = Transaction(self._model, self.double)

    def rollback(self) -> None:
        self.real.execute("rollback")
        assert self.double.tx is not None
        self.double.tx.rollback()
        self.double.tx = None


def _lock(tx: Transaction, p: dict[str, Any]) -> list[Any]:
    return [() for id in p["ids"] if tx.lock(id) is not None]


def telling(query: str, answer: Any) -> Any:
    """What one answer has that others have not: a verdict, an error, something or nothing."""
    if isinstance(answer, str):
        return answer
    if query == F.claim:
        return answer[0][0]
    if query == F.complete:
        return answer[0][1] is not None
    if query == F.renew:
        return answer[0]
    return bool(answer and answer[0] and answer[0][0])


class Comparison:
    """A random sequence of statements."""

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
        self.promises: list[int | None] = [None] * WORKERS
        self.ids: list[UUID] = []
        self.claims: list[tuple[UUID, int, int]] = []
        self._locks = False

    def run(self, steps: int) -> None:
        kinds = (
            [self.send] * 4 + [self.publish] * 6 + [self.elect] * 2 + [self.keep] * 5
            + [self.republish] * 2 + [self.claim] * 6 + [self.under_a_token] * 6
            + [self.end_unclaimed] * 2 + [self.time_passes] * 2 + [self.session] * 2
            + [self.bystand] * 2
        )  # fmt: skip
        for _ in range(4):
            self.send()
        self.relay.ask(R.confirmed, {"positions": self.pending()})
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
        queue, wait = rng.choice(QUEUES), rng.choice((None, None, None, timedelta(minutes=25)))
        way = {"queue": queue, "exchange": "", "routing_key": queue, "priority": rng.choice((0, 5))}
        rest = {"task": "t", "countdown": wait, "needs": rng.choice((None, None, None, ["oven"]))}
        once = again or rng.random() < 0.5
        self.workers[0].ask(F.send_once if once else F.send, common | way | rest)

    # -- the publisher ------------------------------------------------------------------------

    def pending(self, *, some: bool = False) -> list[int]:
        """The positions that the publisher would publish."""
        rng = self.rng
        everything = [row.position for row in self.model.messages.values()]
        unmarked = rng.sample(everything, min(len(everything), rng.choice((0, 0, 1)))) if some else []
        look = {
            "limit": rng.choice((1, 500)) if some else 500, "asleep": rng.random() < 0.5,
            "bytes": rng.choice((1, 5, 1000)) if some else 1000, "unmarked": unmarked,
        }  # fmt: skip
        self.relay.ask(R.has_pending, {"unmarked": unmarked})
        rows = self.relay.ask(R.pending, look)
        return [row[0] for row in rows if row[0] is not None]

    def publish(self) -> None:
        """A batch, with its confirms cut off anywhere."""
        rng, ask = self.rng, self.relay.ask
        positions = self.pending(some=rng.random() < 0.5)
        some = {"positions": positions[: rng.randint(0, len(positions))]}
        choice = rng.randrange(7)
        if choice <= 1:
            ask(R.confirmed, some)
        elif choice <= 3:
            ask(R.confirmed_unlocked, some)
        elif choice == 4:
            ask(R.park, some | {"delay": timedelta(minutes=15)})
        elif choice == 5:
            ask(R.drop_events, some)
        elif positions:
            end = {"exchange": DEAD_LETTER_EXCHANGE, "headers": Jsonb({"reason": "no way"})}
            ask(R.give_up, end | {"position": rng.choice(positions)})
            self.tables.same_ids()
        ask(rng.choice((R.sleep, R.wake_up)))

    def elect(self) -> None:
        leader, other = self.relay, self.rival
        if self.rng.random() < 0.5:
            leader, other = other, leader
        leads = leader.ask(R.lead)[0][0]
        if leads and not leader.ask(R.led_before)[0][0]:
            leader.ask(R.lead_before)
            leader.ask(R.heartbeat, {"broker_lost": self.rng.random() < 0.5})
        self.tables.refresh()
        other.ask(R.led_before)
        other.ask(R.leader)
        if self.rng.random() < 0.5:
            other.ask(R.stand_for_election)
        if leads:
            self.tables.refresh()
            leader.ask(R.heartbeat, {"broker_lost": self.rng.random() < 0.5})
        if self.rng.random() < 0.7:
            leader.ask(R.resign)
        elif leads and other.ask(R.depose)[0][0]:
            self._gone(leader)

    def _gone(self, ended: Both) -> None:
        """The server ends a session that was terminated, soon."""
        self.tables.wait_for_end(ended.real.info.backend_pid)
        ended.reopen()

    # -- the keeper ---------------------------------------------------------------------------

    def keep(self) -> None:
        rng, ask = self.rng, self.keeper.ask
        self.tables.refresh()
        choice = rng.randrange(8)
        if choice <= 1:
            ask(K.stage, {"pending_limit": rng.choice((1, 3, 1000))})
            self.tables.same_positions()
            ask(K.next_due)
        elif choice == 2:
            ask(K.rescue, _LIMIT)
            self.tables.same_positions()
        elif choice <= 4:
            ask(K.redeliver, _LIMIT)
            self.tables.same_positions()
        elif choice == 5:
            for worker, _ in ask(K.expired_workers, _LIMIT):
                if ask(K.terminate_worker, {"worker": worker})[0][0]:
                    self._end_worker(worker - 100)
            ask(K.forget_workers)
        elif choice == 6:
            name = {"name": rng.choice(("tidy", "count"))}
            ask(K.periodic_due, name | {"interval": timedelta(minutes=rng.choice((5, 15)))})
            ask(K.periodic_last_runs)
        else:
            ask(K.worker_count)
            ask(K.newest_claims)

    def _end_worker(self, who: int) -> None:
        for each, key in ((self.sessions[who], 100 + who), (self.workers[who], -100 - who)):
            if each.double.ended:
                self._gone(each)
            assert key not in self.model.sessions

    def republish(self) -> None:
        """Look for what the broker has lost, and send a page of it."""
        rng, ask = self.rng, self.keeper.ask
        self.tables.refresh()
        before = rng.choice((timedelta(minutes=1), -TICK / 2))
        for (queue,) in ask(K.queues_waiting):
            where = {"queue": queue, "limit": rng.choice((1, 500)), "before": before}
            ask(K.count_waiting, where)
            priority = ask(K.next_priority, where | {"below": rng.choice((5, 32_767))})[0][0]
            page = where | {"priority": 0 if priority is None else priority, "after": -1}
            rows = ask(K.waiting_page, page)
            ask(K.overtaken, page)
            ask(K.sent_again, {"ids": [row[1] for row in rows]})
        ids = rng.sample(self.ids, min(3, len(self.ids)))
        ask(K.known, {"ids": ids, "priorities": [rng.choice((0, 5)) for _ in ids]})

    # -- workers ------------------------------------------------------------------------------

    def claim(self) -> None:
        rng, who = self.rng, self.rng.randrange(WORKERS)
        id = rng.choice(self.ids)
        row = self.model.messages.get(id)
        priority = rng.choice((row.priority if row else 0,) * 5 + (None, 7))
        answer = self.workers[who].ask(
            F.claim,
            {
                "job_id": id, "job_holder": 100 + who,
                "job_lease": rng.choice((None, None, None, LEASE)),
                "job_queues": text_array(rng.choice((QUEUES, QUEUES[:1]))),
                "job_forced": rng.random() < 0.4,
                "job_promise": self.promises[who], "job_priority": priority,
            },
        )  # fmt: skip
        if answer == "locked":
            return
        verdict, token, _, _, self.promises[who] = answer[0]
        if verdict == "claimed":
            self.claims.append((id, token, who))
        elif verdict == "locked":
            self.workers[who].ask(F.redeliver, {"id": id})

    def under_a_token(self) -> None:
        """A step of a job: rather of a late claim, sometimes of an old one."""
        if not self.claims:
            return
        rng = self.rng
        id, token, who = rng.choice(self.claims[-3:])
        worker, mark = self.workers[who], {"job_id": id, "job_token": token}
        choice = rng.randrange(8)
        if choice == 0:
            worker.ask(F.fence, mark)
        elif choice <= 2:
            queues = {"job_queues": text_array(QUEUES), "job_promise": self.promises[who]}
            answer = worker.ask(F.complete, mark | queues)
            if not isinstance(answer, str):
                self.promises[who] = answer[0][1]
        elif choice == 3:
            delay = {"delay": timedelta(minutes=35)}
            worker.ask(rng.choice((F.retry, F.postpone)), mark | delay)
        elif choice == 4:
            worker.ask(F.release, mark)
        elif choice == 5:
            end = {"exchange": DEAD_LETTER_EXCHANGE, "headers": Jsonb({"reason": "bad"})}
            worker.ask(F.bury, mark | end | {"traceback": rng.choice((None, "in line 1"))})
            self.tables.same_ids()
        else:
            holder = {"id": id, "token": token, "holder": 100 + who, "lease": LEASE}
            self.sessions[who].ask(F.renew, holder)

    def end_unclaimed(self) -> None:
        """What nobody can read, a dead message that is sent again, a note of a redelivery."""
        rng, who = self.rng, self.rng.randrange(WORKERS)
        worker, id = self.workers[who], rng.choice(self.ids)
        end = {"exchange": DEAD_LETTER_EXCHANGE, "headers": Jsonb({"reason": "poison"})}
        choice = rng.randrange(6)
        if choice == 0:
            worker.ask(F.bury_unclaimed, end | {"id": id, "holder": 100 + who})
        elif choice == 1:
            headers = {"reason": "poison", "task": "t", "attempt": 2, "needs": ["oven"], "b": 2}
            raw = {"routing_key": "red", "body": b"?", "id": rng.choice((None, id))}
            worker.ask(F.bury_raw, end | raw | {"headers": Jsonb(headers), "traceback": None})
        elif choice == 2:
            dead = list(self.model.tables["dead_message"]) or [id]
            worker.ask(D.retry, {"id": rng.choice(dead)})
            self.keeper.ask(D.existing, {"ids": dead[:1]})
        else:
            worker.ask(F.redeliver, {"id": id})
            worker.ask(F.known, {"id": id})
        self.tables.same_ids()

    def session(self) -> None:
        """A worker's session comes, or goes."""
        who = self.rng.randrange(WORKERS)
        worker, session, holder = self.workers[who], self.sessions[who], 100 + who
        choice = self.rng.random()
        if choice < 0.7:
            session.ask(F.hold, {"holder": holder})
            session.ask(F.register, {"holder": holder, "name": f"w{who}", "lease": LEASE})
            worker.ask(F.hold, {"holder": -holder})
        elif choice < 0.8:
            session.ask(F.unregister, {"holder": holder})
        elif choice < 0.9:
            if session.ask(F.end_predecessor, {"key": -holder})[0][0]:
                self._gone(worker)
        else:
            session.reopen()

    # -- the rest -----------------------------------------------------------------------------

    def bystand(self) -> None:
        """Somebody locks messages in psql, or lets them go."""
        if self._locks:
            self.psql.rollback()
        else:
            self.psql.begin()
            ids = sorted({self.rng.choice(self.ids), *(id for id, _, _ in self.claims[-1:])})
            self.psql.ask(LOCK, {"ids": ids})
        self._locks = not self._locks

    def time_passes(self) -> None:
        if self._locks:
            self.bystand()  # the rows could not be moved
        self.tables.move(TICK)
