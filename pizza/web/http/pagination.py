"""Pagination of lists: `limit`, unknown parameters, and the Link header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import request
from pydantic import BaseModel

from pizza.domain.errors import FieldError, InvalidRequest

LINK: dict[str, Any] = {
    "Link": {"description": '<…>; rel="next" when there is more', "schema": {"type": "string"}}
}


def limit_schema(maximum: int) -> dict[str, Any]:
    """The OpenAPI schema of the parameter `limit`."""
    return {"type": "integer", "minimum": 1, "maximum": maximum}


def reject_unknown(query: BaseModel) -> None:
    """Raise InvalidRequest for unknown parameters."""
    if query.model_extra:
        raise InvalidRequest(
            [FieldError(name[:100], "is no parameter") for name in query.model_extra]
        )


def parse_limit(text: str | None, default: int, maximum: int) -> int:
    """The value of `limit`. Raises InvalidRequest if it is not a number."""
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise InvalidRequest([FieldError("limit", f"must be a whole number from 1 to {maximum}")])


def next_link(path: str, parameters: Mapping[str, object]) -> str:
    """The Link header to the next page. path: below the root; parameters of None are left out."""
    present = {name: value for name, value in parameters.items() if value is not None}
    return f'<{request.script_root}{path}?{urlencode(present)}>; rel="next"'
