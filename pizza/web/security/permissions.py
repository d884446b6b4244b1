"""The permission that each operation requires; an endpoint that is not listed is for managers."""

from __future__ import annotations

import enum

from pizza.domain import roles


class Permission(enum.Enum):
    """Who may use an operation while authentication is required."""

    PUBLIC = "anyone; no credential is looked up"
    PARTIAL = "anyone; without a credential only public fields"
    OWNER = "the order's customer, or the role staff"
    MONITOR = "the role monitor; anyone while the database is unavailable"
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

# By endpoint.
PERMISSIONS = {
    "place_order": Permission.PUBLIC,  # fields that need a key are checked by PlaceOrder
    "tracked_order": Permission.PUBLIC,  # the path has the token
    "tracked_events": Permission.PUBLIC,
    "menu": Permission.PUBLIC,
    "alive": Permission.PUBLIC,
    "ready": Permission.PUBLIC,
    "order_status": Permission.PARTIAL,
    "order_history": Permission.PARTIAL,
    "order_events": Permission.PARTIAL,
    "get_order": Permission.OWNER,
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
    # The OpenAPI document.
    "openapi_json": Permission.PUBLIC,
    # Pages, but for those at the path of an operation.
    "pages.file": Permission.PUBLIC,
    "pages.order": Permission.PUBLIC,
    "pages.order_form": Permission.PUBLIC,
    "pages.cancel": Permission.PUBLIC,  # the path has the token
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
    """The permission of a Flask endpoint; its name is also the operationId."""
    if endpoint.startswith(_DESCRIPTION):
        return Permission.PUBLIC
    return PERMISSIONS.get(endpoint, Permission.MANAGER)
