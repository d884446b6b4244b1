"""An example of each request and response, by its model, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from pizza.web.schemas import requests, responses

ORDERS: Mapping[str, dict[str, Any]] = {
    "takeout": {
        "customer_name": "John Doe",
        "order_type": "takeout",
        "items": [
            {"name": "Margherita Pizza", "quantity": 1, "price": 15.99},
            {"name": "Caesar Salad", "quantity": 1, "price": 8.99},
        ],
    },
    "dine-in": {
        "customer_name": "John",
        "order_type": "dine-in",
        "table_number": 5,
        "items": [{"name": "Steak", "quantity": 1, "price": 25.99}],
    },
    "delivery": {
        "customer_name": "VIP Customer",
        "customer_type": "vip",
        "order_type": "delivery",
        "delivery_address": "456 Executive Blvd",
        "items": [{"name": "Premium Steak", "quantity": 1, "price": 45.99}],
        "rush": True,
    },
}
HISTORY = [
    {
        "status": "received",
        "timestamp": "2024-12-16T10:30:00.000Z",
        "changed_by": "order-service",
        "notes": None,
    },
    {
        "status": "cooking",
        "timestamp": "2024-12-16T10:32:00.000Z",
        "changed_by": "chef_mario",
        "notes": None,
    },
]
READY = {
    "status": "ready",
    "checks": {
        "database": "ok",
        "schema": "current",
        "kitchen": "ok",
        "broker": "ok",
        "relay": "leading",
    },
}
UNREADY = {
    "status": "unavailable",
    "checks": {"database": "unavailable", "broker": "unknown", "relay": "database away"},
}
_SUMMARY = {
    "order_number": "ORD_20241216_001",
    "status": "cooking",
    "stage": "kitchen",
    "customer_name": "John Doe",
    "order_type": "takeout",
    "priority": 1,
    "rush": False,
    "total_amount": 15.99,
    "created_at": "2024-12-16T10:30:00.000Z",
    "updated_at": "2024-12-16T10:32:00.000Z",
    "estimated_completion": "2024-12-16T10:42:00.000Z",
    "completed_at": None,
    "processed_by": "chef_mario",
}
_WHOLE = {
    **_SUMMARY,
    "customer_type": "regular",
    "table_number": None,
    "delivery_address": None,
    "items": [{"name": "Margherita Pizza", "quantity": 1, "price": 15.99}],
    "started_at": "2024-12-16T10:32:00.000Z",
    "promised_at": "2024-12-16T10:41:30.000Z",
    "version": 2,
}
_NOT_ON_BOARD = ("total_amount", "delivery_address")
_FIGURES = {
    "orders": 3,
    "cancelled": 1,
    "prepared": 2,
    "avg_preparation_seconds": 14.2,
    "p90_preparation_seconds": 18.9,
    "late": 1,
    "late_share": 0.5,
}
_DISH = {"name": "Pizza Funghi", "tag": "pizza", "price": 16.5}
_WEBHOOK_REQUEST = {
    "url": "https://hooks.example/pizza",
    "types": ["order.ready", "order.delivered"],
    "description": "The screen at the entrance",
}
_WEBHOOK = {
    "id": 1,
    **_WEBHOOK_REQUEST,
    "enabled": True,
    "disabled_at": None,
    "disabled_reason": None,
    "failing_since": None,
    "rests_until": None,
    "former_secret_until": None,
    "created_at": "2024-12-16T08:00:00.000Z",
}

EXAMPLES: Mapping[type[BaseModel], dict[str, Any]] = {
    requests.ByRequest: {"by": "anna"},
    requests.ReasonRequest: {"reason": "The guest has left", "by": "anna"},
    requests.SendBackRequest: {"reason": "Burnt", "by": "anna"},
    requests.PriorityRequest: {"priority": 9, "reason": "Birthday", "by": "anna"},
    requests.VipRequest: {"vip": True, "by": "anna"},
    requests.DishRequest: _DISH,
    requests.WebhookRequest: _WEBHOOK_REQUEST,
    requests.WebhookChangeRequest: {"enabled": True},
    responses.OrderResponse: {
        "order_number": "ORD_20241216_001",
        "status": "received",
        "total_amount": 24.98,
        "priority": 1,
        "order_type": "takeout",
        "customer_name": "John Doe",
        "created_at": "2024-12-16T10:30:00.000Z",
        "estimated_completion": "2024-12-16T10:30:10.000Z",
        "tracking_token": "20241216_001.5f2a90bc77d1e02b4c6a8d9e0f1a2b3c4d5e6f70",
        "tracking_url": "/track/20241216_001.5f2a90bc77d1e02b4c6a8d9e0f1a2b3c4d5e6f70",
    },
    responses.StatusResponse: {
        "order_number": "ORD_20241216_001",
        "current_status": "cooking",
        "updated_at": "2024-12-16T10:32:00.000Z",
        "estimated_completion": "2024-12-16T10:42:00.000Z",
        "processed_by": "chef_mario",
        "order_type": "takeout",
        "priority": 1,
        "completed_at": None,
        "stage": "kitchen",
        "rush": False,
        "total_amount": 24.98,
    },
    responses.ChangeResponse: HISTORY[0],
    responses.SummaryResponse: _SUMMARY,
    responses.WholeResponse: _WHOLE,
    responses.TrackedResponse: {**_WHOLE, "history": HISTORY},
    responses.HealthResponse: {"status": "ok"},
    responses.WorkerResponse: {
        "worker_name": "chef_mario",
        "type": "cook",
        "status": "online",
        "orders_processed": 5,
        "last_seen": "2024-12-16T10:35:00.000Z",
        "station": "kitchen",
        "order_types": None,
        "tags": ["pasta", "pizza"],
        "measured_orders": 5,
        "avg_cooking_seconds": 10.004,
        "p90_cooking_seconds": 12.003,
        "avg_waiting_seconds": 4.5,
        "p90_waiting_seconds": 9.1,
        "last_order_at": "2024-12-16T10:34:58.000Z",
    },
    responses.DishResponse: {**_DISH, "sold_out": False},
    responses.CustomerResponse: {
        "name": "John Doe",
        "vip": True,
        "vip_set_by": "anna",
        "vip_changed_at": "2024-12-16T10:30:00.000Z",
        "repeat": True,
        "orders": 3,
        "cancelled": 1,
        "spent": 48.97,
        "first_order_at": "2024-12-01T18:30:00.000Z",
        "last_order_at": "2024-12-16T10:30:00.000Z",
    },
    responses.KitchenResponse: {
        "paused": False,
        "reason": None,
        "changed_by": "setup",
        "changed_at": "2024-12-16T08:00:00.000Z",
        "max_concurrent": 50,
        "max_concurrent_by": None,
        "stations": ["quality", "packaging", "courier"],
    },
    responses.BoardOrderResponse: {
        **{name: value for name, value in _WHOLE.items() if name not in _NOT_ON_BOARD},
        "items": [{"name": "Margherita Pizza", "quantity": 1}],
    },
    responses.ReportResponse: {
        "day": "2024-12-16",
        **_FIGURES,
        "by_type": {"takeout": _FIGURES},
        "by_priority": {"10": _FIGURES},
    },
    responses.WaitResponse: {
        "priority": 10,
        "orders": 12,
        "begun": 11,
        "avg_wait_seconds": 1.2,
        "p90_wait_seconds": 3.4,
    },
    responses.WebhookResponse: _WEBHOOK,
    responses.WebhookSecretResponse: {
        **_WEBHOOK,
        "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    },
    responses.DeliveryResponse: {
        "id": "0b7a52f4-7f19-5d0a-9a4e-3c2f2f4c1d11",
        "webhook_id": 1,
        "event_id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "type": "order.ready",
        "order_number": "ORD_20241216_001",
        "state": "waiting",
        "attempts": 1,
        "created_at": "2024-12-16T10:42:00.000Z",
        "last_attempt_at": "2024-12-16T10:42:00.100Z",
        "next_attempt_at": "2024-12-16T10:42:05.000Z",
        "answer": 500,
        "problem": "answered 500: out of dough",
        "duration_seconds": 0.12,
        "payload": '{"type":"order.ready","timestamp":"2024-12-16T10:42:00.000Z","data":{}}',
    },
}
