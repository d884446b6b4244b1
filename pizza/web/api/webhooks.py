"""Webhooks over HTTP: register, change, test and delete them, and read their deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from flask import Response, request
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from pizza.config.settings import Settings
from pizza.web import openapi
from pizza.web.dependencies import DATABASE_SECONDS, JSON, Dependencies
from pizza.web.http import pagination
from pizza.web.schemas import documents, serializers
from pizza.web.schemas.requests import parse_request
from pizza.web.schemas.webhooks import (
    CHANGE_EXAMPLE,
    DELIVERY_EXAMPLE,
    REQUEST_EXAMPLE,
    SECRET_EXAMPLE,
    WEBHOOK_EXAMPLE,
    DeliveryResponse,
    WebhookChangeRequest,
    WebhookRequest,
    WebhookResponse,
    WebhookSecretResponse,
)
from pizza.web.security import authorization
from pizza.webhooks import webhooks as service
from pizza.webhooks.webhooks import UrlPolicy, Webhook, WebhookDelivery, WebhookPatch

TAG = Tag(name="webhooks", description="Programs that receive events over HTTP (docs/webhooks.md)")
_LIMIT = pagination.limit_schema(service.MOST_LISTED)
_LOCATION = {"Location": {"description": "the webhook", "schema": {"type": "string"}}}


class WebhookPath(BaseModel):
    """Which webhook."""

    id: str = Field(description="its id, as in the response to POST /webhooks")


class DeliveryPath(WebhookPath):
    """Which of its deliveries."""

    delivery: str = Field(description="id of the delivery")


class DeliveriesQuery(BaseModel):
    """Which deliveries. All parameters are strings, so that errors have our texts."""

    model_config = ConfigDict(extra="allow")

    limit: Annotated[str | None, WithJsonSchema(_LIMIT)] = Field(
        None, description=f"how many, {service.LISTED} by default"
    )
    before: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None, description="id of the last delivery of the previous page, as in Link"
    )


def register(app: OpenAPI, dependencies: Dependencies, settings: Settings) -> None:
    """Add the views of webhooks to `app`."""
    _add_registry(
        app, dependencies, UrlPolicy(settings.webhook_schemes, settings.webhook_private_targets)
    )
    _add_deliveries(app, dependencies)


def _add_registry(app: OpenAPI, dependencies: Dependencies, policy: UrlPolicy) -> None:
    one: dict[str | int, Any] = {200: openapi.response(WebhookResponse, WEBHOOK_EXAMPLE)}

    @app.get(
        "/webhooks",
        tags=[TAG],
        summary="All webhooks, oldest first",
        operation_id="list_webhooks",
        responses={
            200: openapi.list_response(WebhookResponse, [WEBHOOK_EXAMPLE]),
            **openapi.problems(503),
        },
    )
    def list_webhooks() -> Response:
        with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
            found = service.list_webhooks(conn)
        return Response(serializers.dump_lines(map(documents.webhook, found)), content_type=JSON)

    @app.post(
        "/webhooks",
        tags=[TAG],
        summary="Register a webhook; only this response has its signing secret",
        operation_id="add_webhook",
        openapi_extensions=openapi.body(WebhookRequest, REQUEST_EXAMPLE),
        responses={
            201: openapi.response(WebhookSecretResponse, SECRET_EXAMPLE, headers=_LOCATION),
            **openapi.problems(400, 413, 415, 422, 503),
        },
    )
    def add_webhook() -> Response:
        form = parse_request(WebhookRequest)
        service.validate_patch(policy, WebhookPatch(form.url, form.types, form.description))
        with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
            found, secret = service.add_webhook(
                conn, form.url, form.types, form.description, actor=authorization.current_actor()
            )
        response = _answer(found, secret, status=201)
        response.headers["Location"] = f"{request.script_root}/webhooks/{found.id}"
        return response

    @app.get(
        "/webhooks/<id>",
        tags=[TAG],
        summary="A webhook and its state",
        operation_id="webhook",
        responses={**one, **openapi.problems(404, 503)},
    )
    def webhook(path: WebhookPath) -> Response:
        with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return _answer(service.find_webhook(conn, path.id))

    @app.patch(
        "/webhooks/<id>",
        tags=[TAG],
        summary="Change a webhook, disable it, or enable it again",
        operation_id="change_webhook",
        openapi_extensions=openapi.body(WebhookChangeRequest, CHANGE_EXAMPLE),
        responses={**one, **openapi.problems(400, 404, 413, 415, 422, 503)},
    )
    def change_webhook(path: WebhookPath) -> Response:
        form = parse_request(WebhookChangeRequest)
        change = WebhookPatch(form.url, form.types, form.description, form.enabled)
        service.validate_patch(policy, change)
        with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return _answer(
                service.change_webhook(conn, path.id, change, actor=authorization.current_actor())
            )

    @app.delete(
        "/webhooks/<id>",
        tags=[TAG],
        summary="Delete a webhook and its deliveries",
        operation_id="remove_webhook",
        responses={
            204: {"description": "It is deleted", "content": {}},
            **openapi.problems(404, 503),
        },
    )
    def remove_webhook(path: WebhookPath) -> Response:
        with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
            service.remove_webhook(conn, path.id, actor=authorization.current_actor())
        response = Response(status=204)
        del response.headers["Content-Type"]
        return response

    @app.post(
        "/webhooks/<id>/rotate",
        tags=[TAG],
        summary="Give a webhook another secret; for a day deliveries are signed with both",
        operation_id="rotate_webhook",
        responses={
            200: openapi.response(WebhookSecretResponse, SECRET_EXAMPLE),
            **openapi.problems(404, 503),
        },
    )
    def rotate_webhook(path: WebhookPath) -> Response:
        with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return _answer(
                *service.rotate_secret(conn, path.id, actor=authorization.current_actor())
            )


def _add_deliveries(app: OpenAPI, dependencies: Dependencies) -> None:
    accepted: dict[str | int, Any] = {
        202: openapi.response(DeliveryResponse, DELIVERY_EXAMPLE),
        **openapi.problems(404, 409, 503),
    }

    @app.post(
        "/webhooks/<id>/test",
        tags=[TAG],
        summary="Deliver an event of the type webhook.test",
        operation_id="test_webhook",
        responses=accepted,
    )
    def test_webhook(path: WebhookPath) -> Response:
        with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return _accepted(
                service.test_webhook(conn, path.id, actor=authorization.current_actor())
            )

    @app.get(
        "/webhooks/<id>/deliveries",
        tags=[TAG],
        summary="The deliveries of a webhook, newest first",
        operation_id="webhook_deliveries",
        responses={
            200: openapi.list_response(DeliveryResponse, [DELIVERY_EXAMPLE])
            | {"headers": pagination.LINK},
            **openapi.problems(404, 422, 503),
        },
    )
    def webhook_deliveries(path: WebhookPath, query: DeliveriesQuery) -> Response:
        pagination.reject_unknown(query)
        limit = pagination.parse_limit(query.limit, service.LISTED, service.MOST_LISTED)
        with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
            found = service.list_deliveries(conn, path.id, limit=limit, before=query.before)
            dependencies.read_audit.record(conn, "deliveries_read", "webhook", path.id)
        response = Response(
            serializers.dump_lines(map(documents.delivery, found)), content_type=JSON
        )
        if len(found) == limit:
            response.headers["Link"] = _next(path.id, limit, found)
        return response

    @app.post(
        "/webhooks/<id>/deliveries/<delivery>/retry",
        tags=[TAG],
        summary="Retry a delivery at once, whatever its state",
        operation_id="retry_delivery",
        responses=accepted,
    )
    def retry_delivery(path: DeliveryPath) -> Response:
        with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return _accepted(
                service.retry_delivery(
                    conn, path.id, path.delivery, actor=authorization.current_actor()
                )
            )


def _answer(found: Webhook, secret: str | None = None, status: int = 200) -> Response:
    document = documents.webhook(found, secret)
    return Response(serializers.dump(document), status, content_type=JSON)


def _accepted(found: WebhookDelivery) -> Response:
    return Response(serializers.dump(documents.delivery(found)), 202, content_type=JSON)


def _next(id: str, limit: int, found: Sequence[WebhookDelivery]) -> str:
    parameters = {"limit": limit, "before": found[-1].id}
    return pagination.next_link(f"/webhooks/{int(id)}/deliveries", parameters)
