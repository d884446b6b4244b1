"""Workers over HTTP: which are online, and how many orders each has processed how fast."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, Field, WithJsonSchema

from pizza.kitchen import worker_storage as service
from pizza.web import openapi
from pizza.web.dependencies import Dependencies
from pizza.web.http.responses import list_response
from pizza.web.schemas import documents
from pizza.web.schemas.responses import WorkerResponse

TAG = Tag(name="workers", description="Workers of the kitchen")


class WorkersQuery(BaseModel):
    """Which worker; all without a name."""

    name: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None, description="of one worker, exactly"
    )


def register(app: OpenAPI, dependencies: Dependencies) -> None:
    """Add the worker views to `app`."""

    @app.get(
        "/workers/status",
        tags=[TAG],
        summary="All registered workers, or the one with a name, and whether they are online",
        responses=openapi.list_responses(WorkerResponse, 503),
    )
    def workers_status(query: WorkersQuery) -> Response:
        with dependencies.connection() as conn:
            found = service.list_workers(conn, name=query.name)
        return list_response(map(documents.worker, found))
