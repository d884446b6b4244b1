"""How an order's history and the audit log name who did something."""

import pytest

from pizza.domain.actor import SIGNATURE_LENGTH, UNNAMED, Actor, role_of
from pizza.domain.status import STATUSES

TABLET = Actor("Front tablet", "staff", "0a1b2c3d", "203.0.113.7")


@pytest.mark.parametrize(
    ("actor", "by", "signed"),
    [
        (UNNAMED, None, "staff"),
        (UNNAMED, "anna", "anna"),
        (TABLET, None, "Front tablet"),
        (TABLET, "Front tablet", "Front tablet"),
        (TABLET, "anna", "anna (key: Front tablet)"),
        (TABLET, "x" * 50, f"{'x' * 29}… (key: Front tablet)"),
        (Actor("y" * 50, "staff", "0a1b2c3d"), "anna", "y" * 50),
    ],
)
def test_a_key_signs_with_its_name_and_a_word_is_a_note_next_to_it(actor, by, signed):
    assert actor.signature(by) == signed
    assert len(signed) <= SIGNATURE_LENGTH


def test_only_without_a_key_the_given_name_is_used():
    assert UNNAMED.called("anna").name == "anna"
    assert UNNAMED.called(None) is UNNAMED
    assert TABLET.called("anna") is TABLET


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
