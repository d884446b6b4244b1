"""The statements of workers, in random order."""

from __future__ import annotations

import random
from datetime import timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from pizza.database.arrays import text_array
from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE

from ..database import Database
from .claiming import CLAIM_0_2
from .comparison import Both, D, F
from .tables import Tables

WORKERS = 3
QUEUES = ["red", "blue"]
LEASE = timedelta(minutes=15)


class WorkerSteps:
    """The part of workers in a comparison. claims: (id, token, number of the worker)."""

    rng: random.Random
    model: Database
    tables: Tables
    keeper: Both
    workers: list[Both]
    sessions: list[Both]
    reservations: list[int | None]
    ids: list[UUID]
    claims: list[tuple[UUID, int, int]]

    def reopen(self) -> None:
        """Connect again what was terminated."""
        raise NotImplementedError

    def claim(self) -> None:
        rng, who = self.rng, self.rng.randrange(WORKERS)
        id = rng.choice(self.ids)
        row = self.model.messages.get(id)
        priority = rng.choice((row.priority if row else 0,) * 5 + (None, 7))
        answer = self.workers[who].ask(
            rng.choice((F.claim, F.claim, F.claim, CLAIM_0_2)),
            {
                "job_id": id,
                "job_worker_id": 100 + who,
                "job_queues": text_array(rng.choice((QUEUES, QUEUES[:1]))),
                "job_skip_priority_check": rng.random() < 0.4,
                "job_reservation": self.reservations[who],
                "job_priority": priority,
                "lease": LEASE,
            },
        )
        if answer == "locked":
            return
        verdict, token, _, _, self.reservations[who] = answer[0]
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
            queues = {"job_queues": text_array(QUEUES), "job_reservation": self.reservations[who]}
            answer = worker.ask(F.complete, mark | queues)
            if not isinstance(answer, str):
                self.reservations[who] = answer[0][1]
        elif choice == 3:
            delay = {"delay": timedelta(minutes=35)}
            worker.ask(rng.choice((F.retry, F.snooze)), mark | delay)
        elif choice == 4:
            worker.ask(F.release, mark)
        elif choice == 5:
            end = {"exchange": DEAD_LETTER_EXCHANGE, "headers": Jsonb({"reason": "bad"})}
            worker.ask(F.dead_letter, mark | end | {"traceback": rng.choice((None, "in line 1"))})
            self.tables.same_ids()
        else:
            claim = {"id": id, "token": token, "worker_id": 100 + who, "lease": LEASE}
            self.sessions[who].ask(F.renew, claim)

    def end_unclaimed(self) -> None:
        """An unreadable message, a retried dead message, a recorded redelivery."""
        rng, who = self.rng, self.rng.randrange(WORKERS)
        worker, id = self.workers[who], rng.choice(self.ids)
        end = {"exchange": DEAD_LETTER_EXCHANGE, "headers": Jsonb({"reason": "poison"})}
        choice = rng.randrange(6)
        if choice == 0:
            worker.ask(F.dead_letter_unclaimed, end | {"id": id, "worker_id": 100 + who})
        elif choice == 1:
            headers = {"reason": "poison", "task": "t", "attempt": 2, "needs": ["oven"], "b": 2}
            raw = {"body": rng.choice((b"?", b"{}")), "id": rng.choice((None, id))}
            raw |= end | {"headers": Jsonb(headers)}
            if rng.random() < 0.5:
                worker.ask(F.dead_letter_raw, raw | {"routing_key": "red", "traceback": None})
            else:
                worker.ask(D.import_dead_letter, raw | {"queue": "red", "priority": 5})
        elif choice == 2:
            dead = [*self.model.tables["dead_message"], id]
            worker.ask(rng.choice((D.retry, D.retry, D.drop)), {"ids": [rng.choice(dead)]})
            self.keeper.ask(D.find_existing, {"ids": dead[:1]})
        else:
            worker.ask(F.redeliver, {"id": id})
            worker.ask(F.message_exists, {"id": id})
        self.tables.same_ids()

    def session(self) -> None:
        """A worker's session comes, or goes."""
        who = self.rng.randrange(WORKERS)
        worker, session, worker_id = self.workers[who], self.sessions[who], 100 + who
        choice = self.rng.random()
        if choice < 0.1:
            self.sessions[who - 1].ask(F.try_lock, {"key": worker_id})
        elif choice < 0.7:
            session.ask(F.try_lock, {"key": worker_id})
            session.ask(F.register, {"worker_id": worker_id, "name": f"w{who}", "lease": LEASE})
            worker.ask(F.try_lock, {"key": -worker_id})
        elif choice < 0.8:
            session.ask(F.unregister, {"worker_id": worker_id})
        elif choice < 0.9:
            session.ask(F.end_predecessor, {"key": -worker_id})
            self.reopen()
        else:
            session.reopen()
