"""Roles: each operation with a key of each role, and what the answer says."""

import json

import pytest

from pizza.config.settings import Settings
from pizza.domain.roles import MANAGER, MONITOR, ROLES, STAFF, STATION, includes
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies
from pizza.web.security.permissions import REQUIRED_ROLE, Permission, permission_of

from ..conftest import NUMBER
from .test_authorization import GUARDED, ROUTES, shown

# What each role may do that the ones before it may not.
GAINS = {
    MONITOR: {"metrics"},
    STATION: {
        "kitchen", "kitchen_board", "all_events", "deliver_order", "send_back_order",
        "dish_sold_out", "dish_available", "dish_sold_out_named", "dish_available_named",
    },
    STAFF: {
        "list_orders", "get_order", "cancel_order", "prioritise_order", "customer",
        "customer_named", "workers_status", "pause_kitchen", "resume_kitchen",
    },
    MANAGER: {
        "add_dish", "remove_dish", "remove_dish_named", "set_vip", "set_vip_named", "day_report",
        "priority_metrics", "list_webhooks", "add_webhook", "webhook", "change_webhook",
        "remove_webhook", "rotate_webhook", "test_webhook", "webhook_deliveries", "retry_delivery",
        "pages.manage", "pages.manage_form", "pages.dead_letters", "pages.dead_letters_form",
        "pages.audit_log", "pages.sessions", "pages.sessions_form",
    },
}  # fmt: skip
BODY = {"customer_name": "Jo", "items": [{"name": "Pizza", "quantity": 2, "price": 13}]}


@pytest.fixture
def secured_client(restaurant):
    """The application with a key of each role, which is the role's name with a prefix."""
    for role in ROLES:
        restaurant.keys.append(f"key-{role}")
        restaurant.roles[f"key-{role}"] = role
        restaurant.names[f"key-{role}"] = f"The {role}"
    return create_app(Settings(), Dependencies(restaurant, lambda: restaurant.relay)).test_client()


def expected(endpoint, role):
    """Whether a role may use an endpoint, by the list above and not by the rules."""
    upto = ROLES[: ROLES.index(role) + 1]
    return any(endpoint in GAINS[each] for each in upto)


def test_the_list_above_names_every_guarded_operation():
    assert {endpoint for endpoint, _, _ in GUARDED} == set().union(*GAINS.values())


@pytest.mark.parametrize("role", ROLES)
def test_each_operation_with_each_role(secured_client, role):
    for endpoint, method, path in GUARDED:
        answer = secured_client.open(path, method=method, headers=shown(f"key-{role}"))
        if expected(endpoint, role):
            assert answer.status_code not in (401, 403), (endpoint, role)
        else:
            assert answer.status_code == 403, (endpoint, role)
            least = REQUIRED_ROLE[permission_of(endpoint)]
            needed = f"This needs the role {least}; this key has the role {role}."
            assert answer.json["detail"] == needed


@pytest.mark.parametrize("role", ROLES)
def test_a_key_of_any_role_may_use_public_operations(secured_client, role):
    for endpoint, method, path in ROUTES:
        if (
            permission_of(endpoint) in (Permission.PUBLIC, Permission.PARTIAL)
            and "login" not in endpoint
        ):
            answer = secured_client.open(path, method=method, headers=shown(f"key-{role}"))
            assert answer.status_code not in (401, 403), (endpoint, role)


@pytest.mark.parametrize("role", [MONITOR, STATION])
def test_only_staff_hurries_an_order(secured_client, restaurant, role):
    body = json.dumps({**BODY, "rush": True})
    refused = secured_client.post("/orders", data=body, headers=shown(f"key-{role}"))

    assert refused.status_code == 403
    assert refused.json["detail"] == f"rush needs the role staff; this key has the role {role}."
    assert restaurant.placed == []
    assert secured_client.post("/orders", data=body, headers=shown("key-staff")).status_code == 201


def test_only_a_manager_is_offered_the_managers_page(secured_client):
    for role in ROLES[1:]:
        headers = {**shown(f"key-{role}"), "Accept": "text/html"}
        page = secured_client.get("/kitchen", headers=headers).text
        assert ("/manage" in page) == (role == MANAGER)


def test_a_monitor_sees_no_person(secured_client):
    for role, notes in ((MONITOR, None), (STATION, "priority 1")):
        headers = shown(f"key-{role}")
        (step,) = secured_client.get(f"/orders/{NUMBER}/history", headers=headers).json
        assert step["notes"] == notes


def test_a_role_includes_those_before_it_and_an_unknown_one_nothing():
    for at, role in enumerate(ROLES):
        assert [includes(role, least) for least in ROLES] == [n <= at for n in range(len(ROLES))]
    assert not any(includes(role, MONITOR) for role in (None, "", "owner"))


def test_the_description_says_the_role(secured_client):
    paths = secured_client.get("/openapi.json").json["paths"]

    assert paths["/metrics"]["get"]["x-role"] == MONITOR
    assert paths["/orders/{number}/deliver"]["post"]["x-role"] == STATION
    priority = paths["/orders/{number}/priority"]["post"]
    assert priority["x-role"] == STAFF
    assert priority["description"].endswith("A key needs at least the role staff.")
    assert paths["/webhooks"]["post"]["x-role"] == MANAGER
    assert "x-role" not in paths["/menu"]["get"]
