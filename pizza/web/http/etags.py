"""ETags of orders: `"3-5f2a90bc"` is the order's version and a checksum of the document.

The checksum is needed because estimate and stage change without a new version. If-Match compares
the version only, which every change of the order increments, so `"3"` works there as well.

A proxy that compresses a response marks its ETag: nginx writes `W/"3-5f2a90bc"`, Apache
`"3-5f2a90bc-gzip"`. Both headers are compared without that mark. RFC 9110 has If-Match compare
strongly, because a weak ETag may stand for several representations; all representations of an
order have the same version.
"""

from __future__ import annotations

import re
import zlib
from typing import Annotated

from flask import Flask, Response, request
from pydantic import BaseModel, Field, WithJsonSchema
from werkzeug.datastructures import ETags
from werkzeug.http import parse_etags, quote_etag

from pizza.database.connection import Connection
from pizza.domain.errors import VersionConflict
from pizza.orders import orders as service
from pizza.web.dependencies import JSON
from pizza.web.http.problems import Problem

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")
_VERSION_TAG = re.compile(r"([1-9][0-9]{0,8})(?:-[0-9a-f]{8})?")
_CODING = re.compile(r'-{1,2}(?:gzip|deflate|br|zstd)"')
_HEADERS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


_Text = Annotated[str | None, WithJsonSchema({"type": "string"})]


class IfMatch(BaseModel):
    """The header that makes a change conditional."""

    if_match: _Text = Field(
        None,
        alias="If-Match",
        description='the ETag of an order as it was read; 412 if it has changed since, or "*"',
    )


class IfNoneMatch(BaseModel):
    """The header that makes a read conditional."""

    if_none_match: _Text = Field(
        None,
        alias="If-None-Match",
        description="the ETag of a response; 304 if nothing has changed",
    )


def install(app: Flask) -> None:
    """Remove the marks of compression from If-Match and If-None-Match for all views of `app`."""
    app.before_request(_remove_codings)


def _remove_codings() -> None:
    for name in _HEADERS:
        if value := request.environ.get(name):
            request.environ[name] = _CODING.sub('"', value)


def versioned_response(document: str, version: int) -> Response:
    """The response with an order's document and ETag, or 304 if the client has it."""
    tag = f"{version}-{zlib.crc32(document.encode()):08x}"
    headers = {"ETag": quote_etag(tag)}
    if request.method in ("GET", "HEAD") and _parse_tags("If-None-Match").contains_weak(tag):
        return Response(status=304, content_type=JSON, headers=headers)
    return Response(document, content_type=JSON, headers=headers)


def expected_version(conn: Connection, number: str) -> int | None:
    """The version that If-Match requires; None without the header, or for `*`.

    Raises Problem 400 for an invalid header, OrderNotFound, and VersionConflict if several tags, or
    unknown ones, do not include the order's version.
    """
    if "If-Match" not in request.headers or request.headers["If-Match"].strip() == "*":
        return None
    tags = _parse_tags("If-Match").as_set(include_weak=True)
    versions = [int(match[1]) for tag in tags if (match := _VERSION_TAG.fullmatch(tag))]
    if len(versions) == 1:
        return versions[0]
    current = service.order_status(conn, service.validate_number(number)).version
    if current not in versions:
        raise VersionConflict(number, max(versions, default=0), current)
    return current


def _parse_tags(header: str) -> ETags:
    """Parse the tags of a header. Raises Problem 400."""
    value = request.headers.get(header)
    # Werkzeug would also accept tags without quotes.
    if value is not None and value.strip() != "*" and not _LIST.fullmatch(value):
        raise Problem(400, f'{header} must be "*" or ETags in double quotes, as an answer had it.')
    return parse_etags(value and value.strip())
