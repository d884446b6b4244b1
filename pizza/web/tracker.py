"""An order by its tracking token alone: what its customer follows, as JSON or as a page."""

from __future__ import annotations

import dataclasses

from flask import Response
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, Field

from pizza.services import orders as service
from pizza.web import docs, documents, etags, render
from pizza.web.backend import DATABASE_SECONDS, Backend
from pizza.web.credentials import Credentials
from pizza.web.orders import TAG
from pizza.web.pages import paper, track
from pizza.web.schemas import ChangeResponse
from pizza.web.staff_schemas import WHOLE_EXAMPLE, WholeResponse


class TokenPath(BaseModel):
    """Whose order."""

    token: str = Field(description="tracking_token of the answer to the order")


class TrackedResponse(WholeResponse):
    """An order as its customer follows it, with every status it has had."""

    history: list[ChangeResponse]


TRACKED_EXAMPLE = {**WHOLE_EXAMPLE, "history": docs.HISTORY_EXAMPLE}


def register(app: OpenAPI, backend: Backend, credentials: Credentials) -> None:
    """Add the view to `app`."""

    @app.get(
        "/track/<token>",
        tags=[TAG],
        summary="An order, with its history, for its customer: the address is the key",
        operation_id="tracked_order",
        responses={
            **docs.versioned(TrackedResponse, TRACKED_EXAMPLE),
            **docs.unchanged(),
            **docs.problems(400, 404, 503),
        },
    )
    def tracked_order(path: TokenPath, header: etags.IfNoneMatch) -> Response:
        number = track.number_of(credentials, path.token)
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            found = service.whole_order(conn, number)
            steps = service.order_history(conn, number)
        if paper.wanted():
            return track.page(found, steps, path.token)
        document = {
            **documents.order(found),
            "history": [dataclasses.asdict(step) for step in steps],
        }
        response = etags.answer(render.dump(document), found.version)
        # The address must not travel to another site.
        response.headers["Referrer-Policy"] = "no-referrer"
        response.vary.add("Accept")
        return response
