"""Customers over HTTP: profile and VIP status."""

from __future__ import annotations

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI

from pizza.customers import profiles
from pizza.web import openapi
from pizza.web.dependencies import Dependencies
from pizza.web.http.name_paths import by_name
from pizza.web.http.responses import json_response
from pizza.web.schemas import documents
from pizza.web.schemas.requests import VipRequest, parse_request
from pizza.web.schemas.responses import CustomerResponse
from pizza.web.security.authorization import current_actor

TAG = Tag(name="customers", description="Profiles and VIP status")


def register(app: OpenAPI, dependencies: Dependencies) -> None:
    """Add the views of customers to `app`."""

    @by_name(
        app.get,
        "/customers",
        operations=("vip",),
        tags=[TAG],
        summary="What is known of a customer",
        responses=openapi.responses(CustomerResponse, 404, 503),
    )
    def customer(name: str) -> Response:
        with dependencies.connection() as conn:
            found = profiles.customer(conn, name)
            dependencies.read_audit.record(conn, "customer_read", "customer", name)
        return json_response(documents.customer(found))

    @by_name(
        app.post,
        "/customers",
        "/vip",
        tags=[TAG],
        summary="Set or remove a customer's VIP status, from the next order on",
        openapi_extensions=openapi.body(VipRequest),
        responses=openapi.responses(CustomerResponse, 400, 404, 413, 415, 422, 503),
    )
    def set_vip(name: str) -> Response:
        form = parse_request(VipRequest)
        with dependencies.connection() as conn:
            found = profiles.set_vip(conn, name, form.vip, by=form.by, actor=current_actor())
        return json_response(documents.customer(found))
