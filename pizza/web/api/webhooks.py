"""Webhooks over HTTP: register, change, test and delete them, and read their deliveries."""

from __future__ import annotations

from typing import Annotated

from flask import Response, request
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from pizza.config.settings import Settings
from pizza.web import openapi
from pizza.web.dependencies import Dependencies
from pizza.web.http import pagination
from pizza.web.http.responses import json_response, list_response, no_content
from pizza.web.schemas import documents
from pizza.web.schemas.requests import WebhookChangeRequest, WebhookRequest, parse_request
from pizza.web.schemas.responses import (
    DeliveryResponse,
    WebhookResponse,
    WebhookSecretResponse,
)
from pizza.web.security.authorization import current_actor
from pizza.webhooks import storage
from pizza.webhooks import webhooks as service
from pizza.webhooks.webhooks import UrlPolicy, WebhookPatch

TAG = Tag(name="webhooks", description="Programs that receive events over HTTP (docs/webhooks.md)")
_LIMIT = pagination.limit_schema(service.MOST_LISTED)
_LOCATION = openapi.header("Location", "the webhook")


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
    @app.get(
        "/webhooks",
        tags=[TAG],
        summary="All webhooks, oldest first",
        responses=openapi.list_responses(WebhookResponse, 503),
    )
    def list_webhooks() -> Response:
        with dependencies.connection() as conn:
            found = storage.list_webhooks(conn)
        return list_response(map(documents.webhook, found))

    @app.post(
        "/webhooks",
        tags=[TAG],
        summary="Register a webhook; only this response has its signing secret",
        openapi_extensions=openapi.body(WebhookRequest),
        responses=openapi.responses(
            WebhookSecretResponse, 400, 413, 415, 422, 503, status=201, headers=_LOCATION
        ),
    )
    def add_webhook() -> Response:
        form = parse_request(WebhookRequest)
        service.validate_patch(policy, WebhookPatch(form.url, form.types, form.description))
        with dependencies.connection() as conn:
            found, secret = service.add_webhook(
                conn, form.url, form.types, form.description, actor=current_actor()
            )
        response = json_response(documents.webhook(found, secret), 201)
        response.headers["Location"] = f"{request.script_root}/webhooks/{found.id}"
        return response

    @app.get(
        "/webhooks/<id>",
        tags=[TAG],
        summary="A webhook and its state",
        responses=openapi.responses(WebhookResponse, 404, 503),
    )
    def webhook(path: WebhookPath) -> Response:
        with dependencies.connection() as conn:
            found = service.find_webhook(conn, path.id)
        return json_response(documents.webhook(found))

    @app.patch(
        "/webhooks/<id>",
        tags=[TAG],
        summary="Change a webhook, disable it, or enable it again",
        openapi_extensions=openapi.body(WebhookChangeRequest),
        responses=openapi.responses(WebhookResponse, 400, 404, 413, 415, 422, 503),
    )
    def change_webhook(path: WebhookPath) -> Response:
        form = parse_request(WebhookChangeRequest)
        change = WebhookPatch(form.url, form.types, form.description, form.enabled)
        service.validate_patch(policy, change)
        with dependencies.connection() as conn:
            found = service.change_webhook(conn, path.id, change, actor=current_actor())
        return json_response(documents.webhook(found))

    @app.delete(
        "/webhooks/<id>",
        tags=[TAG],
        summary="Delete a webhook and its deliveries",
        responses=openapi.no_content("It is deleted", 404, 503),
    )
    def remove_webhook(path: WebhookPath) -> Response:
        with dependencies.connection() as conn:
            service.remove_webhook(conn, path.id, actor=current_actor())
        return no_content()

    @app.post(
        "/webhooks/<id>/rotate",
        tags=[TAG],
        summary="Give a webhook another secret; for a day deliveries are signed with both",
        responses=openapi.responses(WebhookSecretResponse, 404, 503),
    )
    def rotate_webhook(path: WebhookPath) -> Response:
        with dependencies.connection() as conn:
            found, secret = service.rotate_secret(conn, path.id, actor=current_actor())
        return json_response(documents.webhook(found, secret))


def _add_deliveries(app: OpenAPI, dependencies: Dependencies) -> None:
    accepted = openapi.responses(DeliveryResponse, 404, 409, 503, status=202)

    @app.post(
        "/webhooks/<id>/test",
        tags=[TAG],
        summary="Deliver an event of the type webhook.test",
        responses=accepted,
    )
    def test_webhook(path: WebhookPath) -> Response:
        with dependencies.connection() as conn:
            found = service.test_webhook(conn, path.id, actor=current_actor())
        return json_response(documents.delivery(found), 202)

    @app.get(
        "/webhooks/<id>/deliveries",
        tags=[TAG],
        summary="The deliveries of a webhook, newest first",
        responses=openapi.list_responses(DeliveryResponse, 404, 422, 503, headers=pagination.LINK),
    )
    def webhook_deliveries(path: WebhookPath, query: DeliveriesQuery) -> Response:
        pagination.reject_unknown(query)
        limit = pagination.parse_limit(query.limit, service.LISTED, service.MOST_LISTED)
        with dependencies.connection() as conn:
            found = service.list_deliveries(conn, path.id, limit=limit, before=query.before)
            dependencies.read_audit.record(conn, "deliveries_read", "webhook", path.id)
        response = list_response(map(documents.delivery, found))
        if len(found) == limit:
            address = f"/webhooks/{int(path.id)}/deliveries"
            before = {"limit": limit, "before": found[-1].id}
            response.headers["Link"] = pagination.next_link(address, before)
        return response

    @app.post(
        "/webhooks/<id>/deliveries/<delivery>/retry",
        tags=[TAG],
        summary="Retry a delivery at once, whatever its state",
        responses=accepted,
    )
    def retry_delivery(path: DeliveryPath) -> Response:
        with dependencies.connection() as conn:
            found = service.retry_delivery(conn, path.id, path.delivery, actor=current_actor())
        return json_response(documents.delivery(found), 202)
