"""Live updates over HTTP: the changes of an order, or of all orders, as server-sent events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from flask import Response, request
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, Field, WithJsonSchema

from pizza.auth.authenticator import Authenticator, Principal
from pizza.changes import storage
from pizza.changes.cursor import Cursor
from pizza.changes.storage import Change
from pizza.domain.errors import FieldError, InvalidRequest
from pizza.domain.order import ORDER_TYPES
from pizza.domain.roles import STATION
from pizza.domain.status import ENDED, STATUSES
from pizza.orders import orders as service
from pizza.web import openapi
from pizza.web.api.orders import OrderPath, OrdersQuery, TokenPath
from pizza.web.dependencies import Dependencies
from pizza.web.pages import track
from pizza.web.security import authorization
from pizza.web.security.credentials import Credentials
from pizza.web.security.rate_limits import RateLimits
from pizza.web.security.read_audit import BOARD_SECONDS
from pizza.web.streams import sse
from pizza.web.streams.hub import StreamHub
from pizza.web.streams.limiter import StreamLimiter
from pizza.web.streams.stream import Stream

TAG = Tag(name="live", description="Pushed at once, instead of polling")

_EXAMPLE = (
    "retry: 2000\n\nid: 2\nevent: order\n"
    'data: {"order_number":"ORD_20241216_001","old_status":"received","new_status":"cooking",'
    '"changed_by":"chef_mario","timestamp":"2024-12-16T10:32:00.000Z",'
    '"estimated_completion":"2024-12-16T10:42:00.000Z",'
    '"event_id":"0b54e0a3-5b1f-6a43-9d2c-8f1a54c1f1aa","sequence":2,"order_type":"takeout",'
    '"priority":1,"stage":"kitchen","customer_name":"John Doe","notes":null}\n\n: ping\n\n'
)
_IDS = (
    "The changes of one order come in their order. A change whose transaction commits late comes "
    "late. An id is the position of the newest change sent, and behind `~` the positions below it "
    "that have not been sent, each or as a range: `105`, `105~98.101-103`. It has at most 16 of "
    "these; beyond that some changes come again after a reconnect, with the same `event_id` and "
    "`sequence`. Send an id back as it is."
)
_STREAM = openapi.text_response(sse.CONTENT_TYPE, _EXAMPLE) | {
    "description": "Server-sent events: `order` with a status update of docs/asyncapi.yaml, "
    "and `end` after the last one of an order."
}
_RESPONSES: openapi.Responses = {
    200: _STREAM,
    204: {"description": "The order has ended, and its last event was received.", "content": {}},
    **openapi.problems(404, 503),
}


class LastEventId(BaseModel):
    """The header with which a browser reconnects."""

    last_event_id: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None, alias="Last-Event-ID", description="id of the last event that was received, unchanged"
    )


@dataclass(frozen=True, slots=True)
class StreamEndpoints:
    """Opens the streams of this HTTP worker."""

    dependencies: Dependencies
    authenticator: Authenticator
    limits: RateLimits
    hub: StreamHub
    limiter: StreamLimiter

    def close(self) -> None:
        """End all streams at once, when the process stops."""
        self.hub.close()

    def stream_order(
        self, number: str, last: str | None, *, include_private: bool, by_token: bool
    ) -> Response:
        """Stream the changes of an order.

        last: id of the last event that the client received, None for the present state.
        include_private: with customer, notes, priority and names instead of roles. by_token: the
        client has the tracking token, so its right does not end. Raises OrderNotFound.
        """
        number = service.validate_number(number)
        with self.dependencies.connection() as conn:
            found = service.order_status(conn, number)
            after = _parse_event_id(last)
            if after is None or after > found.version:
                after = found.version - 1
            if found.status in ENDED and after == found.version:
                # A browser that receives 204 does not reconnect.
                return Response(status=204, headers={"Cache-Control": "no-store"})
            if request.method == "HEAD":
                return Response(headers=sse.HEADERS)
            may_end = include_private and not by_token
            stream = self._open(
                number,
                status=found.status,
                include_private=include_private,
                check=(lambda caller: caller.may_see_order(number)) if may_end else None,
            )
            try:
                self.hub.subscribe(stream, conn)
                stream.start(after, storage.changes_of_order(conn, number, after))
            except BaseException:
                stream.close()
                raise
        return Response(stream, headers=sse.HEADERS)

    def stream_all(self, last: str | None, event_filter: Callable[[Change], bool]) -> Response:
        """Stream the changes of all orders, from now on or after the event `last`."""
        if request.method == "HEAD":
            return Response(headers=sse.HEADERS)
        stream = self._open(
            None, event_filter=event_filter, check=lambda caller: caller.has_role(STATION)
        )
        try:
            with self.dependencies.connection() as conn:
                after = Cursor.parse(last) if last is not None else None
                if after is not None and after.position > storage.last_assigned_position(conn):
                    after = None  # of another database
                position = self.hub.subscribe(stream, conn, after)
                self.dependencies.read_audit.record(
                    conn, "events_read", "order", seconds=BOARD_SECONDS
                )
                if after is None:
                    stream.start_all(already_sent=storage.positions_after(conn, position))
        except BaseException:
            stream.close()
            raise
        return Response(stream, headers=sse.HEADERS)

    def _open(
        self,
        number: str | None,
        *,
        status: str | None = None,
        include_private: bool = True,
        event_filter: Callable[[Change], bool] = lambda change: True,
        check: Callable[[Principal], bool] | None = None,
    ) -> Stream:
        """Open a stream, counted by the limiter. check: whether its caller may still read it."""
        shown = authorization.credential_of(request.environ)
        client = self.limits.stream_client(request.environ)

        def is_authorized() -> bool:
            return check is not None and check(self.authenticator.authenticate_cached(shown))

        def close(stream: Stream) -> None:
            self.hub.unsubscribe(stream)
            self.limiter.release(client)

        self.limiter.acquire(client)
        return Stream(
            number,
            status=status,
            include_private=include_private,
            event_filter=event_filter,
            on_close=close,
            is_authorized=is_authorized if check is not None else None,
        )


def register(app: OpenAPI, streams: StreamEndpoints, credentials: Credentials) -> None:
    """Add the streams to `app`."""

    @app.get(
        "/orders/<number>/events",
        tags=[TAG],
        summary="The changes of an order as they come, beginning with where it is",
        responses=_RESPONSES,
    )
    def order_events(path: OrderPath, header: LastEventId) -> Response:
        include_private = authorization.current_principal().may_see_order(path.number)
        return streams.stream_order(
            path.number, header.last_event_id, include_private=include_private, by_token=False
        )

    @app.get(
        "/track/<token>/events",
        tags=[TAG],
        summary="The same for its customer: the address is the key",
        responses=_RESPONSES,
    )
    def tracked_events(path: TokenPath, header: LastEventId) -> Response:
        number = track.order_of_token(credentials, path.token)
        return streams.stream_order(
            number, header.last_event_id, include_private=True, by_token=True
        )

    @app.get(
        "/events",
        tags=[TAG],
        summary="The changes of all orders as they come, from now on",
        description=_IDS,
        responses={200: _STREAM, **openapi.problems(422, 503)},
    )
    def all_events(query: OrdersQuery, header: LastEventId) -> Response:
        return streams.stream_all(header.last_event_id, _filter(query))


def _filter(query: OrdersQuery) -> Callable[[Change], bool]:
    """Build the filter of a stream: with a status, changes that enter it and that leave it.

    Raises InvalidRequest with an entry for each bad parameter.
    """
    status, kind = query.status, query.type
    errors = []
    if status is not None and status not in STATUSES:
        errors.append(FieldError("status", f"must be one of {', '.join(STATUSES)}"))
    if kind is not None and kind not in ORDER_TYPES:
        errors.append(FieldError("type", f"must be one of {', '.join(ORDER_TYPES)}"))
    if errors:
        raise InvalidRequest(errors)

    def matches(change: Change) -> bool:
        # A page that shows the orders of a status has to know when one leaves it.
        of_status = status is None or status in (change.status, change.old_status)
        return of_status and kind in (None, change.order_type)

    return matches


def _parse_event_id(last: str | None) -> int | None:
    """The number in an event id of one order; None for anything else."""
    if last is None or not (last.isascii() and last.isdigit() and len(last) < 19):
        return None
    return int(last)
