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

# place_order checks the fields that need a key itself. The paths of tracked_order, tracked_events
# and pages.cancel have the token. A page at the path of an operation has its endpoint.
_ENDPOINTS = {
    Permission.PUBLIC: """
        place_order tracked_order tracked_events menu alive ready openapi_json
        pages.file pages.order pages.order_form pages.cancel
        pages.login pages.login_form pages.logout
    """,
    Permission.PARTIAL: "order_status order_history order_events",
    Permission.OWNER: "get_order cancel_order",
    Permission.MONITOR: "metrics",
    Permission.STATION: """
        all_events kitchen kitchen_board deliver_order send_back_order
        dish_sold_out dish_available dish_sold_out_named dish_available_named
    """,
    Permission.STAFF: """
        list_orders prioritise_order workers_status pause_kitchen resume_kitchen
        customer customer_named
    """,
    Permission.MANAGER: """
        add_dish remove_dish remove_dish_named set_vip set_vip_named day_report priority_metrics
        list_webhooks add_webhook webhook change_webhook remove_webhook rotate_webhook test_webhook
        webhook_deliveries retry_delivery
        pages.manage pages.manage_form pages.dead_letters pages.dead_letters_form
        pages.audit_log pages.sessions pages.sessions_form
    """,
}
PERMISSIONS = {
    endpoint: permission
    for permission, endpoints in _ENDPOINTS.items()
    for endpoint in endpoints.split()
}


def permission_of(endpoint: str) -> Permission:
    """The permission of a Flask endpoint; its name is also the operationId."""
    if endpoint.startswith(("openapi.", "swagger.")):  # Swagger UI
        return Permission.PUBLIC
    return PERMISSIONS.get(endpoint, Permission.MANAGER)
