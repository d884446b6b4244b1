"""The messages of refusals."""

import pytest

from pizza.domain import errors

REFUSALS = [
    errors.InvalidOrder([errors.FieldError("items", "must not be empty")]),
    errors.OrderNotFound("ORD_20241216_001"),
    errors.CapacityReached(50),
    errors.IllegalTransition("ready", "cooking", ()),
    errors.KitchenPaused("no gas"),
    errors.SoldOut("Steak"),
    errors.DuplicateOrder("ORD_20241216_001"),
    errors.IdempotencyKeyReused(),
    errors.IdempotencyConflict(),
    errors.ReasonRequired("cooking", "cancelled"),
    errors.VersionConflict("ORD_20241216_001", 1, 2),
    errors.InvalidRequest([errors.FieldError("day", "must be a day")]),
    errors.CustomerNotFound("Jo"),
    errors.CustomerHasOrders(["ORD_20241216_001"]),
    errors.DishNotFound("Sushi"),
    errors.InvalidSpecialities(["sushi"], ["dine-in", "pizza"]),
    errors.ClientLimitReached(25),
    errors.StaffKeyNotFound("1f2e3d4c"),
    errors.SessionNotFound("1f2e3d4c"),
    errors.Unauthenticated("This needs a staff key."),
    errors.InvalidCredential(),
    errors.WebhookNotFound("7"),
    errors.WebhookDeliveryNotFound("0b7a52f4"),
    errors.WebhookDisabled(7),
    errors.Forbidden("This needs a staff key."),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda r: type(r).__name__)
def test_a_refusal_is_a_sentence_and_of_one_family(refusal):
    assert isinstance(refusal, errors.DomainError)
    assert str(refusal)[0].isupper() or str(refusal)[0].isdigit() or str(refusal)[0] == "-"


def test_every_kind_of_refusal_is_in_the_list_above():
    kinds = {*errors.DomainError.__subclasses__(), *errors.NotFound.__subclasses__()}
    assert {type(refusal) for refusal in REFUSALS} == kinds - {errors.NotFound}


def test_an_invalid_order_names_its_fields():
    assert "items: must not be empty" in str(REFUSALS[0])
