"""Responses with JSON documents (see pizza.web.schemas.serializers)."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Response

from pizza.web.dependencies import JSON
from pizza.web.schemas import serializers


def json_response(document: object, status: int = 200) -> Response:
    """A response with one document."""
    return Response(serializers.dump(document), status, content_type=JSON)


def list_response(documents: Iterable[object]) -> Response:
    """A response with a JSON array, one document on each line."""
    return Response(serializers.dump_lines(documents), content_type=JSON)


def no_content() -> Response:
    """204 without a body; Flask would add the Content-Type of HTML."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response
