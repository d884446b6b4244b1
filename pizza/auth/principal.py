"""Who sends a request: what its key, session or token gives it."""

from __future__ import annotations

from dataclasses import dataclass

from pizza.domain import roles
from pizza.domain.actor import Actor


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: somebody with a role, or the customer of the order `number`, or anybody (neither).

    name, key_id: of the key that was shown; key_id is None where the doors are open. session: its
    id, where the key was shown at the login.
    """

    role: str | None = None
    number: str | None = None
    name: str = ""
    key_id: str | None = None
    session: str | None = None

    @property
    def staff(self) -> bool:
        """Whether its role is staff or greater."""
        return self.may(roles.STAFF)

    @property
    def key(self) -> bool:
        """Whether it has a role because it has shown a key, not because the doors are open."""
        return self.key_id is not None

    def may(self, least: str) -> bool:
        """Whether its role may do what needs the role `least`."""
        return roles.includes(self.role, least)

    def may_see(self, number: str) -> bool:
        """Whether it may know whose order that is."""
        return self.may(roles.STATION) or self.number == number

    def actor(self, source: str) -> Actor:
        """How the audit log names it. source: the client's address."""
        if self.key_id is None:
            return Actor(source=source)
        return Actor(self.name, self.role, self.key_id, source)


OPEN, ANYBODY = Caller(roles.MANAGER), Caller()
