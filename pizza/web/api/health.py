"""Health over HTTP: `/healthz` checks the process, `/readyz` what it depends on."""

from __future__ import annotations

import json

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI

from pizza.database.errors import DatabaseUnavailable
from pizza.operations import health_storage
from pizza.web import openapi
from pizza.web.dependencies import JSON, Dependencies
from pizza.web.schemas import examples
from pizza.web.schemas.responses import HealthResponse

TAG = Tag(name="health", description="For load balancers and people")

# A relay in standby waits for the leader in another process. In any other state the service is
# degraded: orders are accepted, and published once the broker is available.
_GOOD_RELAY_STATES = ("leading", "standby")
_GOOD_BROKER_STATES = ("ok", "unknown")
_BROKER = {"ok": "ok", "away": "unavailable", "blocked": "blocked", None: "unknown"}


def register(app: OpenAPI, dependencies: Dependencies) -> None:
    """Add the health views to `app`."""

    @app.get(
        "/healthz",
        tags=[TAG],
        summary="The process is alive; checks nothing else",
        responses=openapi.responses(HealthResponse),
    )
    def alive() -> Response:
        return Response('{"status":"ok"}\n', content_type=JSON)

    @app.get(
        "/readyz",
        tags=[TAG],
        summary="Whether orders can be accepted; names the server that is unavailable",
        responses={
            **openapi.responses(
                HealthResponse, status=503, example=examples.UNREADY, headers=openapi.RETRY_AFTER
            ),
            **openapi.responses(HealthResponse, example=examples.READY),
        },
    )
    def ready() -> Response:
        relay = dependencies.relay_state()
        checks, can_store = _check_dependencies(dependencies)
        checks["relay"] = relay
        if not can_store:
            status = "unavailable"
        elif relay in _GOOD_RELAY_STATES and checks["broker"] in _GOOD_BROKER_STATES:
            status = "ready"
        else:
            status = "degraded"
        return Response(
            json.dumps({"status": status, "checks": checks}) + "\n",
            200 if can_store else 503,
            headers=[] if can_store else [("Retry-After", "2")],
            content_type=JSON,
        )


def _check_dependencies(dependencies: Dependencies) -> tuple[dict[str, str], bool]:
    """The results of the checks, and whether an order can be stored."""
    try:
        with dependencies.connection() as conn:
            found = health_storage.check_readiness(conn)
            broker = health_storage.broker_state(conn) if found.can_store else None
    except DatabaseUnavailable:
        return {"database": "unavailable", "broker": _BROKER[None]}, False
    checks = {"database": "read-only" if found.read_only else "ok", "schema": found.schema}
    if found.cooks is not None:
        # Orders are accepted and wait, so the service is not degraded.
        open_now = "ok" if found.cooks else "no cook on shift"
        checks["kitchen"] = "paused" if found.paused else open_now
    checks["broker"] = _BROKER[broker]
    return checks, found.can_store
