"""The model's rules against the real statements on PostgreSQL, step by step for random sequences.

Both get the same statements with the same parameters; answers and rows have to agree after each.
Time passes by minutes: for the model by its clock, in the database by moving the rows' times.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pizza.database.arrays import text_array
from pizza.database.connection import BoundedConnection, connect
from pizza.database.queries import Queries
from pizza.framework.job import REFUSED
from pizza.framework.topology import DEAD_LETTER_EXCHANGE

from .connection import Connection
from .database import Database, Row
from .relay_rules import RELAY_RULES
from .rules import RULES
from .scheduler import Scheduler

SEQUENCES = 200
STEPS = 20
WORKERS = 3
QUEUES = ["red", "blue"]
_F, _R = Queries("framework"), Queries("relay")
_PATIENCE = {"patience": timedelta(minutes=5)}
_LEASE = timedelta(minutes=15)
_TICK = timedelta(minutes=10)
# Of what lies ahead or behind, by minutes; both clocks run on a little.
_NEAR_S = 120.0

_ROWS = """
select id, position, state::text, task, queue, exchange, routing_key, priority, headers, attempt,
       token, holder, extract(epoch from available_at - clock_timestamp())::float8,
       extract(epoch from sent_at - clock_timestamp())::float8,
       extract(epoch from lease_until - clock_timestamp())::float8
from message order by id
"""
_PASS = """
update message set available_at = available_at - %(by)s, sent_at = sent_at - %(by)s,
                   lease_until = lease_until - %(by)s
"""
# Answers whose rows come in no order, and those that are told by their count alone.
_UNORDERED = (_R.waiting, _R.orphans, _R.drop_replies)


# What was answered to what, so that a test that saw too little is noticed.
Answers = set[tuple[str, Any]]


class Both:
    """One client's connection to the database, and its double in the model."""

    def __init__(self, real: BoundedConnection, model: Database, answers: Answers) -> None:
        self.real = real
        self.answers = answers
        self._model = model
        self.renew_model()

    def renew_model(self) -> None:
        process = self._model.scheduler.process("client")
        rules = RULES | RELAY_RULES
        self.double = Connection(self._model, process, rules.get, lambda: None)

    def ask(self, query: str, parameters: dict[str, Any]) -> Any:
        """The answer on which both agree."""
        real, double = self._really(query, parameters), self._in_the_model(query, parameters)
        if query in _UNORDERED:
            real, double = sorted(real, key=str), sorted(double, key=str)
        assert alike(double, real), f"{query}\n{parameters}\nmodel: {double}\nreal:  {real}"
        self.answers.add((query, telling(query, real)))
        return real

    def _really(self, query: str, parameters: dict[str, Any]) -> Any:
        try:
            cursor = self.real.execute(query, parameters)
        except psycopg.DatabaseError as error:
            assert error.sqlstate == REFUSED, error
            return "refused"
        if cursor.description is None:
            return cursor.rowcount if query == _R.send_again else []
        return cursor.fetchall()

    def _in_the_model(self, query: str, parameters: dict[str, Any]) -> Any:
        try:
            rows = self.double.execute(query, parameters)
        except psycopg.DatabaseError:
            return "refused"
        if query == _R.send_again:
            return rows.rowcount
        return [tuple(r.values()) if isinstance(r, dict) else r for r in rows.fetchall()]


def telling(query: str, answer: Any) -> Any:
    """What one answer has that others have not: a verdict, a refusal, something or nothing."""
    if answer == "refused":
        return answer
    if query == _F.claim:
        return answer[0][0]
    if query == _F.complete:
        return answer[0][1] is not None
    return bool(answer[0][0] if isinstance(answer, list) and answer else answer)


def alike(one: Any, other: Any) -> bool:
    """Equal, with times near each other; when a row was written is no rule's business."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < _NEAR_S
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other) or (hasattr(one, "timestamp") and hasattr(other, "timestamp"))


class Comparison:
    """A random sequence of statements."""

    def __init__(
        self, seed: int, connections: Sequence[BoundedConnection], answers: Answers
    ) -> None:
        self.rng = random.Random(seed)
        self.model = Database(Scheduler(seed), lambda *_: None)
        for connection in connections:
            connection.execute("select pg_advisory_unlock_all()")
        connections[0].execute("truncate message restart identity")
        both = [Both(connection, self.model, answers) for connection in connections]
        self.relay, self.workers, self.sessions = both[0], both[1:4], both[4:]
        self.promises: list[int | None] = [None] * WORKERS
        self.ids: list[UUID] = []
        self.claims: list[tuple[UUID, int, int]] = []

    def run(self) -> None:
        steps = (
            [self.send] * 3 + [self.relays] * 6 + [self.claim] * 5 + [self.under_a_token] * 5
            + [self.time_passes] * 3 + [self.session]
        )  # fmt: skip
        for _ in range(4):
            self.send()
        waiting = self.pending()
        self.relay.ask(_R.confirmed, {"positions": waiting})
        for _ in range(2 * WORKERS):
            self.session()
        for _ in range(STEPS):
            self.rng.choice(steps)()
            self.compare()

    def compare(self) -> None:
        now = self.model.scheduler.now

        def left(moment: float | None) -> float | None:
            return None if moment is None else moment - now

        def shown(row: Row) -> tuple[Any, ...]:
            return (
                row.id, row.position, row.state, row.task, row.queue, row.exchange,
                row.routing_key, row.priority, row.headers, row.attempt, row.token, row.holder,
                left(row.available_at), left(row.sent_at), left(row.lease_until),
            )  # fmt: skip

        model = [shown(row) for row in sorted(self.model.messages.values(), key=lambda r: r.id)]
        real = self.relay.real.execute(_ROWS).fetchall()
        assert alike(model, real), f"model: {model}\nreal:  {real}"

    # -- steps ------------------------------------------------------------------------------

    def send(self) -> None:
        rng, id = self.rng, UUID(int=len(self.ids) + 1)
        self.ids.append(id)
        common = {"id": id, "body": b"{}", "headers": rng.choice((None, Jsonb({"a": 1})))}
        if rng.random() < 0.2:
            way = {"exchange": rng.choice(("", "events")), "routing_key": "k", "priority": 0}
            self.relay.ask(_F.publish, common | way)
            return
        queue, wait = rng.choice(QUEUES), rng.choice((None, None, timedelta(minutes=25)))
        way = {"queue": queue, "exchange": "", "routing_key": queue, "priority": rng.choice((0, 5))}
        rest = {"task": "t", "countdown": wait, "needs": None}
        self.workers[0].ask(_F.send, common | way | rest)

    def pending(self) -> list[int]:
        """The positions that an awake relay would publish."""
        rows = self.relay.ask(_R.pending, {"limit": 500, "asleep": False})
        return [row[0] for row in rows if row[0] is not None]

    def relays(self) -> None:
        """What the leading relay does, with its confirms cut off anywhere."""
        rng, ask = self.rng, self.relay.ask
        positions = self.pending()
        some = {"positions": positions[: rng.randint(0, len(positions))]}
        choice = rng.choice((0, 0, 1, 2, 2, 3, 3, 4, 4, 5))
        if choice == 0:
            ask(_R.confirmed, some)
        elif choice == 1:
            ask(_R.drop_replies, some)
            ask(_R.postpone, some | {"delay": timedelta(minutes=15)})
        elif choice == 2:
            ask(_R.promote, {})
            self._same_numbers()
        elif choice == 3:
            ask(_R.orphans, {})
        elif choice == 4:
            for queue, _ in ask(_R.waiting, _PATIENCE):
                ask(_R.send_again, _PATIENCE | {"queue": queue})
        else:
            ask(_R.doze, {})
            ask(_R.outlook, {})
            ask(_R.pending, {"limit": rng.choice((1, 500)), "asleep": True})

    def _same_numbers(self) -> None:
        """Rows that become due at once are numbered in any order: take over the real one."""
        real = dict(self.relay.real.execute("select id, position from message").fetchall())
        model = self.model.messages
        assert sorted(real.values()) == sorted(row.position for row in model.values())
        for id, position in real.items():
            model[id] = model[id].changed(position=position)

    def claim(self) -> None:
        rng, who = self.rng, self.rng.randrange(WORKERS)
        id = rng.choice(self.ids)
        row = self.model.messages.get(id)
        if row is not None and row.task is None:
            return
        priority = rng.choice((row.priority if row else 0,) * 5 + (None, 7))
        answer = self.workers[who].ask(
            _F.claim,
            {
                "job_id": id, "job_holder": 100 + who, "job_lease": _LEASE,
                "job_queues": text_array(rng.choice((QUEUES, QUEUES[:1]))),
                "job_forced": rng.random() < 0.4,
                "job_promise": self.promises[who], "job_priority": priority,
            },
        )  # fmt: skip
        verdict, token, _, _, self.promises[who] = answer[0]
        if verdict == "claimed":
            self.claims.append((id, token, who))

    def under_a_token(self) -> None:
        """A step of a job: rather of a late claim, sometimes of an old one."""
        if not self.claims:
            return
        rng = self.rng
        id, token, who = rng.choice(self.claims[-3:])
        worker, mark = self.workers[who], {"job_id": id, "job_token": token}
        choice = rng.randrange(7)
        if choice == 0:
            worker.ask(_F.fence, mark)
        elif choice <= 2:
            queues = {"job_queues": text_array(QUEUES), "job_promise": self.promises[who]}
            answer = worker.ask(_F.complete, mark | queues)
            if answer != "refused":
                self.promises[who] = answer[0][1]
        elif choice == 3:
            worker.ask(_F.retry, mark | {"delay": timedelta(minutes=35)})
        elif choice == 4:
            worker.ask(_F.release, mark)
        elif choice == 5:
            end = {"exchange": DEAD_LETTER_EXCHANGE, "headers": Jsonb({"reason": "bad"})}
            worker.ask(_F.bury, mark | end)
        else:
            holder = {"id": id, "token": token, "holder": 100 + who, "lease": _LEASE}
            self.sessions[who].ask(_F.renew, holder)

    def session(self) -> None:
        """A worker's session comes, or goes."""
        who = self.rng.randrange(WORKERS)
        if self.rng.random() < 0.8:
            self.sessions[who].ask(_F.hold, {"holder": 100 + who})
        else:
            self.sessions[who].real.execute("select pg_advisory_unlock_all()")
            self.model.end(self.sessions[who].double)
            self.sessions[who].renew_model()

    def time_passes(self) -> None:
        self.relay.real.execute(_PASS, {"by": _TICK})
        self.model.scheduler.now += _TICK.total_seconds()


@pytest.fixture
def connections(db_url: str) -> Iterator[list[BoundedConnection]]:
    """One for the relay, and two for each worker."""
    opened = [connect(db_url, name=f"rules {n}") for n in range(1 + 2 * WORKERS)]
    for each in opened:
        each.execute("set synchronous_commit = off")
    yield opened
    for each in opened:
        each.close()


def test_the_model_answers_as_the_real_statements_do(connections: list[BoundedConnection]) -> None:
    answers: Answers = set()
    for seed in range(SEQUENCES):
        comparison = Comparison(seed, connections, answers)
        try:
            comparison.run()
        except AssertionError as difference:
            raise AssertionError(f"sequence {seed}: {difference}") from difference
    verdicts = {what for query, what in answers if query == _F.claim}
    assert verdicts == {"claimed", "done", "held", "later", "better", "moved"}
    for query in (_F.fence, _F.complete, _F.retry, _F.bury):
        assert {(query, True), (query, "refused")} <= answers
    for query in (_F.complete, _F.release, _F.renew, _R.pending, _R.outlook, *_UNORDERED):
        assert {(query, True), (query, False)} <= answers, query
    assert (_R.send_again, True) in answers
