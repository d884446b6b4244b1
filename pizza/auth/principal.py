"""The principal of a request: what its key, session or tracking token permits."""

from __future__ import annotations

from dataclasses import dataclass

from pizza.domain import roles
from pizza.domain.actor import Actor


@dataclass(frozen=True, slots=True)
class Principal:
    """A member of the staff (`role`), or the customer of the order `number`, or neither.

    name, key_id: of the staff key; key_id is None if authentication is not required. session: the
    id of the browser's session, if there is one.
    """

    role: str | None = None
    number: str | None = None
    name: str = ""
    key_id: str | None = None
    session: str | None = None

    @property
    def is_staff(self) -> bool:
        """Whether its role is staff or higher."""
        return self.has_role(roles.STAFF)

    @property
    def has_key(self) -> bool:
        """Whether its role comes from a staff key."""
        return self.key_id is not None

    def has_role(self, least: str) -> bool:
        """Whether its role is `least` or higher."""
        return roles.includes(self.role, least)

    def may_see_order(self, number: str) -> bool:
        """Whether it may read the personal data of an order."""
        return self.has_role(roles.STATION) or self.number == number

    def actor(self, source: str) -> Actor:
        """The same for the audit log. source: the client's address."""
        if self.key_id is None:
            return Actor(source=source)
        return Actor(self.name, self.role, self.key_id, source)


AUTH_DISABLED, ANONYMOUS = Principal(roles.MANAGER), Principal()
