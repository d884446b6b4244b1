"""Lists a page at a time: how many, what is no parameter, and where the next page is."""

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


def limit_schema(most: int) -> dict[str, Any]:
    """What the API's description says of `limit`."""
    return {"type": "integer", "minimum": 1, "maximum": most}


def refuse_unknown(query: BaseModel) -> None:
    """Raise InvalidRequest for parameters that the list does not have."""
    if query.model_extra:
        raise InvalidRequest(
            [FieldError(name[:100], "is no parameter") for name in query.model_extra]
        )


def read_limit(text: str | None, usual: int, most: int) -> int:
    """How many are asked for. Raises InvalidRequest for what is no number, of whatever size."""
    if text is None:
        return usual
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise InvalidRequest([FieldError("limit", f"must be a whole number from 1 to {most}")])


def next_page(path: str, asked: Mapping[str, object]) -> str:
    """The header Link to what follows. path: below our root; parameters of None are left out."""
    kept = {name: value for name, value in asked.items() if value is not None}
    return f'<{request.script_root}{path}?{urlencode(kept)}>; rel="next"'
