"""Health over HTTP: `/healthz` says that the process lives, `/readyz` what it stands on."""

from __future__ import annotations

import json

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI

from pizza.database.errors import DatabaseUnavailable
from pizza.storage import health
from pizza.web import docs
from pizza.web.backend import DATABASE_SECONDS, JSON, Backend
from pizza.web.schemas import HealthResponse

TAG = Tag(name="health", description="For load balancers and people")

# A relay that does not lead stands by for one in another process. Any other state degrades the
# service, no more: orders are taken all the same, and published once the broker is back.
_GOOD_RELAY_STATES = ("leading", "standby")


def register(app: OpenAPI, backend: Backend) -> None:
    """Add the health views to `app`."""

    @app.get(
        "/healthz",
        tags=[TAG],
        summary="The process is alive; looks at nothing else",
        operation_id="alive",
        responses={200: docs.answer(HealthResponse, {"status": "ok"}), **docs.problems()},
    )
    def alive() -> Response:
        return Response('{"status":"ok"}\n', content_type=JSON)

    @app.get(
        "/readyz",
        tags=[TAG],
        summary="Whether orders can be taken; says which server is missing",
        operation_id="ready",
        responses={
            200: docs.answer(HealthResponse, docs.READY_EXAMPLE),
            503: docs.answer(HealthResponse, docs.UNREADY_EXAMPLE, headers=docs.RETRY_AFTER),
            **docs.problems(),
        },
    )
    def ready() -> Response:
        relay = backend.relay_state()
        checks, can_store = _stands_on(backend)
        if not can_store:
            status = "unavailable"
        else:
            status = "ready" if relay in _GOOD_RELAY_STATES else "degraded"
        checks |= {"broker": _broker(relay), "relay": relay}
        return Response(
            json.dumps({"status": status, "checks": checks}) + "\n",
            200 if can_store else 503,
            headers=[] if can_store else [("Retry-After", "2")],
            content_type=JSON,
        )


def _broker(relay: str) -> str:
    # Only the relay that leads has a connection to the broker, and knows.
    if "broker away" in relay:
        return "unavailable"
    if "broker blocked" in relay:
        return "blocked"
    return "ok" if relay == "leading" else "unknown"


def _stands_on(backend: Backend) -> tuple[dict[str, str], bool]:
    """The checks of what the database knows, and whether an order can be stored."""
    try:
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            found = health.standing(conn)
    except DatabaseUnavailable:
        return {"database": "unavailable"}, False
    checks = {"database": "read-only" if found.read_only else "ok", "schema": found.schema}
    if found.cooks is not None:
        # Orders are taken all the same: they wait. So it degrades nothing.
        open_now = "ok" if found.cooks else "no cook on shift"
        checks["kitchen"] = "paused" if found.paused else open_now
    return checks, found.can_store
