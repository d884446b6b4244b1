"""Every column of the schema that holds a person, and every one that does not.

A test compares this with the schema, so that a new column makes its author decide. Another one
fills every feature with one name, erases it, and looks through the whole database for what is left.
"""

from __future__ import annotations

# Columns about customers, and the statement of queries/personal_data.sql that erases each.
CUSTOMER: dict[str, str] = {
    "orders.customer_name": "erase_orders",
    "orders.customer_key": "erase_orders",
    "orders.delivery_address": "erase_orders",
    "orders.table_number": "erase_orders",
    # Leads to the log lines of the request, which may name the customer.
    "orders.trace": "erase_orders",
    # What people write; a customer may also have signed a change with the own name.
    "order_status_log.notes": "erase_log",
    "order_status_log.changed_by": "erase_log",
    "tracking_event.changed_by": "erase_events",
    # Chosen by the customer's program, and a checksum of the request.
    "idempotency_key.key": "erase_keys",
    "idempotency_key.digest": "erase_keys",
    # Keyed hashes of the network address, and of its network.
    "client_order.client_hash": "erase_clients",
    "client_order.network_hash": "erase_clients",
    "customers.key": "erase_customers",
    "customers.name": "erase_customers",
    "customers.vip": "erase_customers",
    "merged_name.kept": "erase_merged_names",
    "merged_name.merged": "erase_merged_names",
    "tracking_request.message_id": "erase_requests",
    "tracking_request.changed_by": "erase_requests",
    "tracking_request.answer": "erase_requests",
    "notification_delivery.reason": "erase_notifications",
    "webhook_delivery.payload": "erase_deliveries",
    "webhook_delivery.problem": "erase_deliveries",
    "message.body": "erase_message",
    "message.headers": "erase_dead_copies",
    "dead_message.body": "erase_dead_messages",
    "dead_message.headers": "erase_dead_messages",
    "dead_message.reason": "erase_dead_messages",
    "dead_message.traceback": "erase_dead_messages",
}

# Columns about those who work here: names of workers and devices, signatures, reasons of the staff.
# The employer keeps and deletes them; erasing a customer leaves them.
STAFF: frozenset[str] = frozenset(
    {
        # Who did what, from where. A customer stands there as a keyed hash (`object_id`).
        "audit_log.actor",
        "audit_log.source",
        "audit_log.before",
        "audit_log.after",
        "customers.set_by",
        "kitchen_state.changed_by",
        "kitchen_state.max_concurrent_by",
        "kitchen_state.reason",
        "order_stage.worker",
        "orders.processed_by",
        "staff_key.name",
        "staff_session.client",
        "staff_session.user_agent",
        "webhook.description",
        "worker_session.name",
        "workers.name",
    }
)

# Columns about nobody, by table.
NOBODY: dict[str, str] = {
    "audit_log": "id at key_id role action object_kind object_id",
    "broker_queue": "name messages consumers seen_at",
    "client_order": "order_number",
    "cooking_time_avg": "order_type seconds changed_at",
    "customers": "changed_at",
    "dead_message": (
        "id task queue exchange routing_key priority needs attempts runs created_at died_at"
    ),
    "durable_subscription": "name subscriber exchange routing_key seen_at",
    "idempotency_key": "order_number priority rule ordered_at estimated_completion kept_at",
    # A hash of a message of another program, for a day.
    "inbox_message": "id body_hash accepted_at checked_at is_over",
    "kitchen_capacity": "stripe share free",
    "kitchen_state": "singleton paused changed_at capped waiting max_concurrent",
    "leader": "role pid heartbeat_at broker_lost_at candidate_at broker_state",
    "menu": "name tag price sold_out changed_at key",
    "merged_name": "id kind merged_at",
    "message": (
        "id position state task queue exchange routing_key priority created_at available_at sent_at"
        " attempt token holder renewed_at lease_until needs runs refusals"
    ),
    "message_counter": "what queue number",
    "notification_delivery": (
        "subscriber event_id order_number status delivered_at attempts outcome"
    ),
    "order_day": "day first",
    "order_histogram": "status type priority orders timed seconds buckets",
    # Dishes are named by the menu, or by a program of the restaurant.
    "order_items": "id created_at order_id name quantity price position",
    "order_stage": "id order_id stage started_at finished_at outcome",
    "order_status_log": "id created_at order_id status changed_at sequence position",
    "orders": (
        "id created_at updated_at number customer_type type total_amount priority status"
        " completed_at rush started_at estimated_completion version stage task_id source_id needs"
        " promised_at in_kitchen"
    ),
    "periodic_task": "name last_run_at",
    "redelivery": "message_id noted_at",
    "relay": "only_one pid beat_at",
    "schema_migration": "name checksum applied_at",
    "signing_secret": "singleton secret changed_at",
    "staff_key": ("id hash created_at revoked_at role kind expires_at last_used_at limited_hash"),
    "staff_session": "id key_id created_at last_used_at expires_at",
    "station": "name position queue task order_types open",
    "tracking_event": (
        "event_id order_number sequence old_status new_status occurred_at received_at"
    ),
    "tracking_gap": "order_number first last missing noticed_at filled_at",
    "tracking_order": "order_number sequence status since promised estimated told",
    "tracking_request": "order_number new_status answered_at",
    "tracking_stuck": "id order_number status since noticed_at resolved_at",
    "webhook": (
        "id url types secret former_secret former_until created_at disabled_at disabled_reason"
        " failing_since timeouts rests_until pace key_id"
    ),
    "webhook_delivery": (
        "id position webhook_id event_id type order_number created_at state message_id attempts"
        " tried_at answer duration next_at"
    ),
    "worker_session": "id lease_renewed_at lease_expires_at",
    "workers": (
        "id created_at type status last_seen orders_processed station order_types tags cooking_time"
    ),
}
