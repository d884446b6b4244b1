"""Actions on an order: cancel, deliver, send back, set the priority.

Each responds with the new status of the order. With If-Match it applies only to the version that
the client has read.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Response
from flask_openapi3.openapi import OpenAPI

from pizza.domain.errors import FieldError, Forbidden
from pizza.domain.status import CUSTOMER
from pizza.orders import actions
from pizza.orders import orders as service
from pizza.web import openapi
from pizza.web.api.orders import TAG, OrderPath
from pizza.web.dependencies import Dependencies
from pizza.web.http import etags
from pizza.web.schemas import serializers
from pizza.web.schemas.requests import (
    ByRequest,
    PriorityRequest,
    ReasonRequest,
    SendBackRequest,
    StaffRequest,
    parse_request,
)
from pizza.web.schemas.responses import StatusResponse
from pizza.web.security import authorization

_RESPONSES = openapi.responses(
    StatusResponse, 400, 404, 409, 412, 413, 415, 422, 503, headers=openapi.ETAG
)


def register(app: OpenAPI, dependencies: Dependencies) -> None:
    """Add the four actions to `app`."""

    def change(
        number: str, action: Callable[..., None], form: StaffRequest, **more: str
    ) -> Response:
        """Apply an action with the fields of a form, and `more`, as its parameters."""
        parameters = {**form.model_dump(), **more, "actor": authorization.current_actor()}
        with dependencies.connection() as conn:
            action(conn, number, version=etags.expected_version(conn, number), **parameters)
            found = service.order_status(conn, number)
        return etags.versioned_response(serializers.status(found), found.version)

    @app.post(
        "/orders/<number>/cancel",
        tags=[TAG],
        summary="Cancel an order: its customer while it is received, staff with a reason later",
        openapi_extensions=openapi.body(ReasonRequest, required=False),
        responses=_RESPONSES,
    )
    def cancel_order(path: OrderPath, header: etags.IfMatch) -> Response:
        form = parse_request(ReasonRequest, optional=True)
        if authorization.current_principal().is_staff:
            return change(path.number, actions.cancel, form)
        if form.by is not None:
            errors = [FieldError("by", "is for staff")]
            raise Forbidden("A customer cancels in no other name.", errors)
        return change(path.number, actions.cancel, form, role=CUSTOMER)

    @app.post(
        "/orders/<number>/deliver",
        tags=[TAG],
        summary="Hand an order over; a delivery goes out first and is delivered the next time",
        openapi_extensions=openapi.body(ByRequest, required=False),
        responses=_RESPONSES,
    )
    def deliver_order(path: OrderPath, header: etags.IfMatch) -> Response:
        return change(path.number, actions.deliver, parse_request(ByRequest, optional=True))

    @app.post(
        "/orders/<number>/send-back",
        tags=[TAG],
        summary="Send a ready order back to the kitchen, to be cooked again before all others",
        openapi_extensions=openapi.body(SendBackRequest),
        responses=_RESPONSES,
    )
    def send_back_order(path: OrderPath, header: etags.IfMatch) -> Response:
        return change(path.number, actions.send_back, parse_request(SendBackRequest))

    @app.post(
        "/orders/<number>/priority",
        tags=[TAG],
        summary="Set the priority of an order; a waiting one moves at once",
        openapi_extensions=openapi.body(PriorityRequest),
        responses=_RESPONSES,
    )
    def prioritise_order(path: OrderPath, header: etags.IfMatch) -> Response:
        return change(path.number, actions.set_priority, parse_request(PriorityRequest))
