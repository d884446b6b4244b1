"""Who may use which operation: one rule for each endpoint, managers alone where there is none."""

from __future__ import annotations

import enum

from pizza.domain import roles


class Rule(enum.Enum):
    """Who may use an operation, once the doors are closed: for most the least role."""

    EVERYBODY = "everybody, and nothing is looked at"
    PART = "everybody; without token or key only what tells of no person"
    OWN = "the order's customer, and the role staff"
    MONITOR = "the role monitor; anybody while the database is away, when there is little to tell"
    STATION = "the role station"
    STAFF = "the role staff"
    MANAGER = "the role manager"


LEAST = {
    Rule.OWN: roles.STAFF,
    Rule.MONITOR: roles.MONITOR,
    Rule.STATION: roles.STATION,
    Rule.STAFF: roles.STAFF,
    Rule.MANAGER: roles.MANAGER,
}

# By endpoint. What is not here is for managers.
RULES = {
    "place_order": Rule.EVERYBODY,  # fields that need a key are looked at by the intake
    "tracked_order": Rule.EVERYBODY,  # its address is the token
    "tracked_events": Rule.EVERYBODY,
    "menu": Rule.EVERYBODY,
    "alive": Rule.EVERYBODY,
    "ready": Rule.EVERYBODY,
    "order_status": Rule.PART,
    "order_history": Rule.PART,
    "order_events": Rule.PART,
    "whole_order": Rule.OWN,
    "cancel_order": Rule.OWN,
    "list_orders": Rule.STAFF,
    "all_events": Rule.STATION,
    "deliver_order": Rule.STATION,
    "send_back_order": Rule.STATION,
    "prioritise_order": Rule.STAFF,
    "workers_status": Rule.STAFF,
    "kitchen": Rule.STATION,
    "pause_kitchen": Rule.STAFF,
    "resume_kitchen": Rule.STAFF,
    "add_dish": Rule.MANAGER,
    "remove_dish": Rule.MANAGER,
    "dish_sold_out": Rule.STATION,
    "dish_available": Rule.STATION,
    "remove_dish_named": Rule.MANAGER,
    "dish_sold_out_named": Rule.STATION,
    "dish_available_named": Rule.STATION,
    "customer": Rule.STAFF,
    "set_vip": Rule.MANAGER,
    "customer_named": Rule.STAFF,
    "set_vip_named": Rule.MANAGER,
    "day_report": Rule.MANAGER,
    "priority_metrics": Rule.MANAGER,
    "list_webhooks": Rule.MANAGER,
    "add_webhook": Rule.MANAGER,
    "webhook": Rule.MANAGER,
    "change_webhook": Rule.MANAGER,
    "remove_webhook": Rule.MANAGER,
    "rotate_webhook": Rule.MANAGER,
    "test_webhook": Rule.MANAGER,
    "webhook_deliveries": Rule.MANAGER,
    "retry_delivery": Rule.MANAGER,
    "metrics": Rule.MONITOR,
    "kitchen_board": Rule.STATION,
    # The API's description, and the page that shows it.
    "openapi_json": Rule.EVERYBODY,
    # Pages, beside those that have an operation's address.
    "pages.file": Rule.EVERYBODY,
    "pages.order": Rule.EVERYBODY,
    "pages.order_form": Rule.EVERYBODY,
    "pages.cancel": Rule.EVERYBODY,  # its address is the token
    "pages.login": Rule.EVERYBODY,
    "pages.login_form": Rule.EVERYBODY,
    "pages.logout": Rule.EVERYBODY,
    "pages.manage": Rule.MANAGER,
    "pages.manage_form": Rule.MANAGER,
    "pages.dead_letters": Rule.MANAGER,
    "pages.dead_letters_form": Rule.MANAGER,
    "pages.audit_log": Rule.MANAGER,
    "pages.sessions": Rule.MANAGER,
    "pages.sessions_form": Rule.MANAGER,
}
_DESCRIPTION = ("openapi.", "swagger.")


def rule_of(endpoint: str) -> Rule:
    """The rule of a Flask endpoint, which for our operations is also their operationId."""
    if endpoint.startswith(_DESCRIPTION):
        return Rule.EVERYBODY
    return RULES.get(endpoint, Rule.MANAGER)
