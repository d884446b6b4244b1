"""`Idempotency-Key` on POST /orders: a repeated request places no second order.

As the IETF draft has it (draft-ietf-httpapi-idempotency-key-header), but any printable text is a
key, quoted or not: the draft requires a quoted string, but hardly any client sends one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

from pizza.domain.errors import FieldError
from pizza.domain.order import IdempotencyKey
from pizza.web.http.problems import Problem

HEADER = "Idempotency-Key"
REPLAYED = ("Idempotent-Replayed", "true")

_KEY = re.compile(r"[ -~]{1,255}")
_RULE = "must be 1 to 255 printable ASCII characters"

_Text = Annotated[
    str | None,
    # Spaces around a header's value are not part of it.
    WithJsonSchema({"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"}),
]


class IdempotencyKeyHeader(BaseModel):
    """The header that makes it safe to repeat an order."""

    idempotency_key: _Text = Field(
        None,
        alias="Idempotency-Key",
        description="your own random text, such as a UUID: the same key with the same body, within "
        "24 hours, places one order and gets the same answer again; with another body 422",
    )


def read_idempotency_key(environ: Mapping[str, Any], body: bytes) -> IdempotencyKey | None:
    """The key of a WSGI request with this body; None without the header.

    Raises Problem 400, naming the header, when it is empty, too long or not printable ASCII.
    """
    key = environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Problem(400, f"{HEADER} {_RULE}.", errors=[FieldError(HEADER, _RULE)])
    return IdempotencyKey(key, hashlib.sha256(body).digest())
