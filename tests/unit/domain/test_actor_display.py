"""The author of a change as a stranger sees it."""

from __future__ import annotations

import pytest

from pizza.domain.actor_display import role_of
from pizza.domain.status import STATUSES


@pytest.mark.parametrize(
    ("changed_by", "status", "role"),
    [
        ("chef_mario", "cooking", "kitchen"),
        ("chef_mario", "ready", "kitchen"),
        ("Anna", "received", "staff"),
        ("Anna", "cancelled", "staff"),
        ("Marco", "out-for-delivery", "delivery"),
        ("Marco", "delivered", "staff"),
        ("order-service", "received", "order-service"),
        ("customer", "cancelled", "customer"),
        ("ageing", "received", "ageing"),
    ],
)
def test_a_person_is_a_role_and_a_program_is_itself(changed_by, status, role):
    assert role_of(changed_by, status) == role


def test_every_status_has_a_role():
    assert all("Anna" not in role_of("Anna", status) for status in STATUSES)
