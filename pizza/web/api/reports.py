"""Reports over HTTP: a day's report, and waiting times by priority."""

from __future__ import annotations

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, Field

from pizza.reports import storage
from pizza.reports.day import read_day
from pizza.web import openapi
from pizza.web.dependencies import Dependencies
from pizza.web.http.responses import json_response, list_response
from pizza.web.schemas import documents
from pizza.web.schemas.responses import ReportResponse, WaitResponse

TAG = Tag(name="reports", description="Reports")


class DayPath(BaseModel):
    """Which day."""

    day: str = Field(description="such as 2024-12-16 (UTC), or today")


def register(app: OpenAPI, dependencies: Dependencies) -> None:
    """Add the views of reports to `app`."""

    @app.get(
        "/reports/<day>",
        tags=[TAG],
        summary="A day's orders: how many, how fast, how many late, by type and by priority",
        responses=openapi.responses(ReportResponse, 404, 422, 503),
    )
    def day_report(path: DayPath) -> Response:
        day = read_day(path.day)
        with dependencies.connection() as conn:
            found = storage.day_report(conn, day)
        return json_response(documents.report(found))

    @app.get(
        "/metrics/priority",
        tags=[TAG],
        summary="How long the newest 5,000 orders waited for a cook, by priority",
        responses=openapi.list_responses(WaitResponse, 503),
    )
    def priority_metrics() -> Response:
        with dependencies.connection() as conn:
            found = storage.priority_waits(conn)
        return list_response(map(documents.priority_wait, found))
