"""ETags of orders: `"3-5f2a90bc"` is the order's version and a checksum of the document.

The checksum is there because estimate and stage move without a new version; If-Match looks at the
version alone, which grows with every change of the order itself, so `"3"` is as good there.
"""

from __future__ import annotations

import re
import zlib
from typing import Annotated

from flask import Response, request
from pydantic import BaseModel, Field, WithJsonSchema

from pizza.domain.errors import VersionConflict
from pizza.services import orders as service
from pizza.services.moves import Connection
from pizza.web.backend import JSON
from pizza.web.errors import Problem

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")
_EACH = re.compile(_TAG)
_OURS = re.compile(r'"([1-9][0-9]{0,8})(?:-[0-9a-f]{8})?"')


_Text = Annotated[str | None, WithJsonSchema({"type": "string"})]


class IfMatch(BaseModel):
    """The header that guards a change."""

    if_match: _Text = Field(
        None,
        alias="If-Match",
        description='the ETag of an order as it was looked at; 412 if it has changed since, or "*"',
    )


class IfNoneMatch(BaseModel):
    """The header that spares an answer."""

    if_none_match: _Text = Field(
        None, alias="If-None-Match", description="the ETag of an answer; 304 if it still holds"
    )


def answer(document: str, version: int) -> Response:
    """An order's document under its ETag, or 304 when the client has it already."""
    tag = f'"{version}-{zlib.crc32(document.encode()):08x}"'
    known = _read("If-None-Match") if request.method in ("GET", "HEAD") else []
    if "*" in known or tag in (each.removeprefix("W/") for each in known):
        return Response(status=304, content_type=JSON, headers={"ETag": tag})
    return Response(document, content_type=JSON, headers={"ETag": tag})


def expected_version(conn: Connection, number: str) -> int | None:
    """The version that If-Match insists on; None when the client does not.

    Raises Problem 400 for a header that is none, OrderNotFound, and VersionConflict when no tag
    of several, or of another maker, is the order's.
    """
    if "If-Match" not in request.headers or request.headers["If-Match"].strip() == "*":
        return None
    versions = [int(ours[1]) for tag in _read("If-Match") if (ours := _OURS.fullmatch(tag))]
    if len(versions) == 1:
        return versions[0]
    current = service.order_status(conn, service.checked_number(number)).version
    if current not in versions:
        raise VersionConflict(number, max(versions, default=0), current)
    return current


def _read(header: str) -> list[str]:
    """The tags of a header, as they stand there. Raises Problem 400."""
    value = request.headers.get(header)
    if value is None:
        return []
    if value.strip() == "*":
        return ["*"]
    if not _LIST.fullmatch(value):
        raise Problem(400, f'{header} must be "*" or ETags in double quotes, as an answer had it.')
    return _EACH.findall(value)
