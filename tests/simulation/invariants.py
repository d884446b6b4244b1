"""Checks that each committed message has its effect, once and in order."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE

from .broker import EVENTS, Copy
from .database import Row
from .sample_app import ATTEMPTS


class InvariantChecker:
    """Called for every commit; checks the final state at the end."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.sent: dict[Any, Row] = {}
        self.effects: dict[Any, int] = {}
        self._owner: dict[Any, int] = {}
        self._dead: set[Any] = set()
        self._set_aside: set[Any] = set()

    def committed(self, kind: str, id: Any, detail: Any) -> None:
        """Part of a transaction that has just committed."""
        if kind == "sent":
            if id in self.sent:
                self._blame(id, "sent twice under one id")
            self.sent[id] = detail
        elif kind == "claimed":
            self._owner[id] = detail
        elif kind == "dead-lettered":
            self._dead.add(id)
        elif kind == "set aside":
            self._set_aside.add(id)
        else:
            if self._owner.get(id) != detail:
                self._blame(id, f"an {kind} by one whose message was taken over")
            if id not in self.sent:
                self._blame(id, f"an {kind} of a message that was never committed")
            if kind == "effect":
                self._effect(id)

    def _effect(self, id: Any) -> None:
        self.effects[id] = self.effects.get(id, 0) + 1
        if self.effects[id] > 1:
            self._blame(id, f"its effect was made {self.effects[id]} times")

    def _blame(self, id: Any, what: str) -> None:
        self.violations.append(f"message {short(id)}: {what}")

    def check_end(
        self, rows: dict[Any, Row], dead: dict[Any, Any], seen: list[tuple[str, Copy]]
    ) -> list[str]:
        """All violations, once everything has healed and had its time.

        rows, dead: what the tables of messages and of dead messages still hold.
        """
        for row in rows.values():
            self._blame(row.id, f"stuck as {row.state}, attempt {row.attempt}")
        dead_letters = {
            c.properties["message_id"]: c for q, c in seen if q == DEAD_LETTER_QUEUE and c.durable
        }
        events = [c for q, c in seen if q == EVENTS and c.durable]
        heard = {copy.properties["message_id"] for copy in events}
        for id, row in self.sent.items():
            if row.exchange == DEAD_LETTER_EXCHANGE:
                continue  # a copy, found below by the id of what is dead
            if row.task is None:
                if str(id) not in heard and id not in rows:
                    self._blame(id, "an event that was lost")
            elif id in self._dead:
                self._look_at(id, dead.get(id), dead_letters.get(str(id)))
            elif id not in self.effects and id not in rows:
                self._blame(id, "lost: neither an effect nor a dead letter")
        self._order(events)
        return self.violations

    def _look_at(self, id: Any, dead: Any, dead_letter: Copy | None) -> None:
        if id in self.effects:
            self._blame(id, "both an effect and a dead letter")
        if dead is None or not dead.reason or not dead.traceback:
            self._blame(id, "dead, and no row says why")
        if dead_letter is None:
            self._blame(id, "its dead letter was lost")
            return
        headers = dead_letter.properties["application_headers"]
        if not headers.get("reason"):
            self._blame(id, "a dead letter without its reason")
        if headers["attempt"] < ATTEMPTS and "Hopeless" not in headers["reason"]:
            self._blame(id, f"given up after attempt {headers['attempt']}")

    def _order(self, events: list[Copy]) -> None:
        """Events of one key arrive in the order of their commits; some twice.

        One that the broker refuses again and again is set aside, and so loses its place.
        """
        wanted: dict[str, list[str]] = {}
        for id, row in self.sent.items():
            if row.task is None and id not in self._set_aside and "n" in json.loads(row.body):
                wanted.setdefault(row.routing_key, []).append(str(id))
        arrived = [copy.properties["message_id"] for copy in events]
        for key, ids in wanted.items():
            rest = iter(arrived)
            missing = next((id for id in ids if id not in rest), None)
            if missing is not None and missing in arrived:
                self._blame(UUID(missing), f"an event of {key} out of its order")


def short(id: Any) -> str:
    """The end of an id, as the trace shows it."""
    return str(id)[-4:]
