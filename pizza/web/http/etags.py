"""ETags of orders: `"3-5f2a90bc"` is the order's version and a checksum of the document.

The checksum is there because estimate and stage move without a new version; If-Match looks at the
version alone, which grows with every change of the order itself, so `"3"` is as good there.

A proxy that compresses an answer marks its ETag: nginx writes `W/"3-5f2a90bc"`, Apache
`"3-5f2a90bc-gzip"`. The version is still in it, so both headers compare what is left without the
mark. RFC 9110 has If-Match compare strongly, since a weak ETag may stand for several
representations. An ETag of ours has the same version in each.
"""

from __future__ import annotations

import re
import zlib
from typing import Annotated

from flask import Flask, Response, request
from pydantic import BaseModel, Field, WithJsonSchema
from werkzeug.datastructures import ETags
from werkzeug.http import parse_etags, quote_etag

from pizza.domain.errors import VersionConflict
from pizza.orders import orders as service
from pizza.orders.transitions import Connection
from pizza.web.dependencies import JSON
from pizza.web.http.problems import Problem

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")
_OURS = re.compile(r"([1-9][0-9]{0,8})(?:-[0-9a-f]{8})?")
_CODING = re.compile(r'-{1,2}(?:gzip|deflate|br|zstd)"')
_HEADERS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


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


def install(app: Flask) -> None:
    """Have all views of `app` read If-Match and If-None-Match without the marks of codings."""
    app.before_request(_remove_codings)


def _remove_codings() -> None:
    for name in _HEADERS:
        if value := request.environ.get(name):
            request.environ[name] = _CODING.sub('"', value)


def answer(document: str, version: int) -> Response:
    """An order's document under its ETag, or 304 when the client has it already."""
    tag = f"{version}-{zlib.crc32(document.encode()):08x}"
    headers = {"ETag": quote_etag(tag)}
    if request.method in ("GET", "HEAD") and _read("If-None-Match").contains_weak(tag):
        return Response(status=304, content_type=JSON, headers=headers)
    return Response(document, content_type=JSON, headers=headers)


def expected_version(conn: Connection, number: str) -> int | None:
    """The version that If-Match insists on; None when the client does not.

    Raises Problem 400 for a header that is none, OrderNotFound, and VersionConflict when no tag
    of several, or of another maker, is the order's.
    """
    if "If-Match" not in request.headers or request.headers["If-Match"].strip() == "*":
        return None
    tags = _read("If-Match").as_set(include_weak=True)
    versions = [int(ours[1]) for tag in tags if (ours := _OURS.fullmatch(tag))]
    if len(versions) == 1:
        return versions[0]
    current = service.order_status(conn, service.checked_number(number)).version
    if current not in versions:
        raise VersionConflict(number, max(versions, default=0), current)
    return current


def _read(header: str) -> ETags:
    """The tags of a header. Raises Problem 400."""
    value = request.headers.get(header)
    # Werkzeug would also take tags without quotes.
    if value is not None and value.strip() != "*" and not _LIST.fullmatch(value):
        raise Problem(400, f'{header} must be "*" or ETags in double quotes, as an answer had it.')
    return parse_etags(value and value.strip())
