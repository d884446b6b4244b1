"""An order by its tracking token, for its customer, as JSON or as a page."""

from __future__ import annotations

from flask import Response
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, Field

from pizza.orders import orders as service
from pizza.web import openapi
from pizza.web.api.orders import TAG
from pizza.web.dependencies import Dependencies
from pizza.web.http import etags
from pizza.web.pages import html, track
from pizza.web.schemas import documents, serializers
from pizza.web.schemas.responses import TrackedResponse
from pizza.web.security.credentials import Credentials


class TokenPath(BaseModel):
    """The token of an order."""

    token: str = Field(description="tracking_token in the response to POST /orders")


def register(app: OpenAPI, dependencies: Dependencies, credentials: Credentials) -> None:
    """Add the view to `app`."""

    @app.get(
        "/track/<token>",
        tags=[TAG],
        summary="An order, with its history, for its customer: the address is the key",
        responses=openapi.versioned(openapi.responses(TrackedResponse, 400, 404, 503)),
    )
    def tracked_order(path: TokenPath, header: etags.IfNoneMatch) -> Response:
        number = track.order_of_token(credentials, path.token)
        with dependencies.connection() as conn:
            found = service.get_order(conn, number)
            steps = service.order_history(conn, number)
        if html.prefers_html():
            return track.tracking_page(found, steps, path.token)
        document = {**documents.order(found), "history": [documents.change(step) for step in steps]}
        response = etags.versioned_response(serializers.dump(document), found.version)
        # The URL contains the token, so it must not be sent to another site.
        response.headers["Referrer-Policy"] = "no-referrer"
        response.vary.add("Accept")
        return response
