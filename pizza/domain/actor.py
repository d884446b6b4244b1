"""The person or program that makes a change: its name for the audit log and an order's history.

People who know only the number of an order see a role instead.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pizza.domain.errors import FieldError, InvalidRequest
from pizza.domain.names import text_error
from pizza.domain.status import (
    CANCELLED,
    COOKING,
    CUSTOMER,
    DELIVERED,
    OUT_FOR_DELIVERY,
    READY,
    RECEIVED,
    STAFF,
)

# As long as the column changed_by of an order's history.
SIGNATURE_LENGTH = 50
REASON_LENGTH = 300
KITCHEN, DELIVERY = "kitchen", "delivery"
# Names that programs use; no people.
_PROGRAMS = frozenset(
    {"order-service", "tracking-service", "outside", "ageing", KITCHEN, DELIVERY, CUSTOMER, STAFF}
)
# The role that usually sets each status.
_ROLES = {
    RECEIVED: STAFF,
    COOKING: KITCHEN,
    READY: KITCHEN,
    OUT_FOR_DELIVERY: DELIVERY,
    DELIVERED: STAFF,
    CANCELLED: STAFF,
}


@dataclass(frozen=True, slots=True)
class Actor:
    """name: of the key, or what a caller without a key calls itself.

    role, key_id: of the key; None without one. source: the client's address, or the command line
    and its user.
    """

    name: str = STAFF
    role: str | None = None
    key_id: str | None = None
    source: str = ""

    def called(self, by: str | None) -> Actor:
        """The same actor under the name `by`; a key's name is never replaced."""
        if by is None or self.key_id is not None:
            return self
        return dataclasses.replace(self, name=by)

    def signature(self, by: str | None) -> str:
        """The value of `changed_by`: the key's name, after `by` (free text) as a note.

        At most SIGNATURE_LENGTH characters; the note is shortened, the key's name is not.
        """
        if self.key_id is None or by is None or by == self.name:
            return self.called(by).name[:SIGNATURE_LENGTH]
        ending = f" (key: {self.name})"
        room = SIGNATURE_LENGTH - len(ending)
        if room < 1:
            return self.name[:SIGNATURE_LENGTH]
        note = by if len(by) <= room else f"{by[: room - 1]}…"
        return f"{note}{ending}"


UNNAMED = Actor()


def check_signature(*, by: str | None = None, reason: str | None = None) -> None:
    """Check the name and the reason that will be logged. Raises InvalidRequest."""
    texts = (("by", by, SIGNATURE_LENGTH), ("reason", reason, REASON_LENGTH))
    errors = [
        FieldError(name, message)
        for name, text, longest in texts
        if text is not None and (message := text_error(text, longest))
    ]
    if errors:
        raise InvalidRequest(errors)


def role_of(changed_by: str, status: str) -> str:
    """The role of the person who set `status`; the name of a program stays."""
    return changed_by if changed_by in _PROGRAMS else _ROLES.get(status, STAFF)
