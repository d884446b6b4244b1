"""Who may use which operation: one rule for each endpoint, managers alone where there is none."""

from __future__ import annotations

import enum

from pizza.domain import roles


class Permission(enum.Enum):
    """Who may use an operation, once the doors are closed: for most the least role."""

    PUBLIC = "everybody, and nothing is looked at"
    PARTIAL = "everybody; without token or key only what tells of no person"
    OWNER = "the order's customer, and the role staff"
    MONITOR = "the role monitor; anybody while the database is away, when there is little to tell"
    STATION = "the role station"
    STAFF = "the role staff"
    MANAGER = "the role manager"


REQUIRED_ROLE = {
    Permission.OWNER: roles.STAFF,
    Permission.MONITOR: roles.MONITOR,
    Permission.STATION: roles.STATION,
    Permission.STAFF: roles.STAFF,
    Permission.MANAGER: roles.MANAGER,
}

# By endpoint. What is not here is for managers.
PERMISSIONS = {
    "place_order": Permission.PUBLIC,  # fields that need a key are checked by PlaceOrder
    "tracked_order": Permission.PUBLIC,  # its address is the token
    "tracked_events": Permission.PUBLIC,
    "menu": Permission.PUBLIC,
    "alive": Permission.PUBLIC,
    "ready": Permission.PUBLIC,
    "order_status": Permission.PARTIAL,
    "order_history": Permission.PARTIAL,
    "order_events": Permission.PARTIAL,
    "whole_order": Permission.OWNER,
    "cancel_order": Permission.OWNER,
    "list_orders": Permission.STAFF,
    "all_events": Permission.STATION,
    "deliver_order": Permission.STATION,
    "send_back_order": Permission.STATION,
    "prioritise_order": Permission.STAFF,
    "workers_status": Permission.STAFF,
    "kitchen": Permission.STATION,
    "pause_kitchen": Permission.STAFF,
    "resume_kitchen": Permission.STAFF,
    "add_dish": Permission.MANAGER,
    "remove_dish": Permission.MANAGER,
    "dish_sold_out": Permission.STATION,
    "dish_available": Permission.STATION,
    "remove_dish_named": Permission.MANAGER,
    "dish_sold_out_named": Permission.STATION,
    "dish_available_named": Permission.STATION,
    "customer": Permission.STAFF,
    "set_vip": Permission.MANAGER,
    "customer_named": Permission.STAFF,
    "set_vip_named": Permission.MANAGER,
    "day_report": Permission.MANAGER,
    "priority_metrics": Permission.MANAGER,
    "list_webhooks": Permission.MANAGER,
    "add_webhook": Permission.MANAGER,
    "webhook": Permission.MANAGER,
    "change_webhook": Permission.MANAGER,
    "remove_webhook": Permission.MANAGER,
    "rotate_webhook": Permission.MANAGER,
    "test_webhook": Permission.MANAGER,
    "webhook_deliveries": Permission.MANAGER,
    "retry_delivery": Permission.MANAGER,
    "metrics": Permission.MONITOR,
    "kitchen_board": Permission.STATION,
    # The API's description, and the page that shows it.
    "openapi_json": Permission.PUBLIC,
    # Pages, beside those that have an operation's address.
    "pages.file": Permission.PUBLIC,
    "pages.order": Permission.PUBLIC,
    "pages.order_form": Permission.PUBLIC,
    "pages.cancel": Permission.PUBLIC,  # its address is the token
    "pages.login": Permission.PUBLIC,
    "pages.login_form": Permission.PUBLIC,
    "pages.logout": Permission.PUBLIC,
    "pages.manage": Permission.MANAGER,
    "pages.manage_form": Permission.MANAGER,
    "pages.dead_letters": Permission.MANAGER,
    "pages.dead_letters_form": Permission.MANAGER,
    "pages.audit_log": Permission.MANAGER,
    "pages.sessions": Permission.MANAGER,
    "pages.sessions_form": Permission.MANAGER,
}
_DESCRIPTION = ("openapi.", "swagger.")


def permission_of(endpoint: str) -> Permission:
    """The rule of a Flask endpoint, which for our operations is also their operationId."""
    if endpoint.startswith(_DESCRIPTION):
        return Permission.PUBLIC
    return PERMISSIONS.get(endpoint, Permission.MANAGER)
