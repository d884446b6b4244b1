"""Reads request bodies: JSON with exact numbers, and forms, of at most MAX_BODY bytes.

Flask and pydantic both read JSON numbers as binary floats (15.990000000000000000001 becomes
15.99, 1e-400 becomes 0), so the standard library reads them here, as Decimals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from pizza.web.http.problems import Problem

# An order of 100 items has 10 kB.
MAX_BODY = 65_536
MAX_FIELDS = 2000

# Types that no client of a JSON API sends by mistake. `curl -d` without a header sends
# application/x-www-form-urlencoded, others text/plain or nothing: those are read as JSON.
_UNSUPPORTED = re.compile(
    r"(multipart|image|audio|video|font|model)(/.*)?"
    r"|[^/]*/(.*\+)?(xml|html|pdf|zip|gzip|csv|yaml|x-yaml|msgpack|cbor)"
)
_UTF8 = ("utf-8", "utf8", "us-ascii", "ascii")


def read_json(environ: Mapping[str, Any], *, optional: bool = False) -> Any:
    """Read the JSON document of a WSGI request; numbers with a point become exact Decimals.

    optional: an empty body is an empty object. Raises Problem: 413 over MAX_BODY bytes, 415 for
    another Content-Type than JSON in UTF-8, 400 for invalid JSON.
    """
    body = read_bytes(environ)
    return {} if optional and not body.strip() else parse_json(body)


def read_bytes(environ: Mapping[str, Any]) -> bytes:
    """Read the body of a WSGI request. Raises Problem 413, 415, or 400 if it is incomplete."""
    _check_headers(environ)
    declared = environ.get("CONTENT_LENGTH") or ""
    length = int(declared[:20]) if declared.isdigit() else None
    if length is not None and length > MAX_BODY:
        raise _too_large()
    # A chunked body has no length: read one byte more than is allowed.
    body: bytes = environ["wsgi.input"].read(MAX_BODY + 1 if length is None else length)
    if len(body) > MAX_BODY:
        raise _too_large()
    if length is not None and len(body) < length:
        raise Problem(400, f"The body ends after {len(body)} of {length} bytes.")
    return body


def read_form(environ: Mapping[str, Any]) -> dict[str, str]:
    """Read a posted form of a page. Raises Problem as `read_bytes`, and 400 for an invalid form.

    (Flask would read to the end of the stream, which granian's refuses.)
    """
    try:
        pairs = parse_qsl(
            read_bytes(environ).decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:  # not ASCII, not UTF-8 when decoded, or too many fields
        raise Problem(400, "The body is not a form.") from None
    return dict(pairs)


def parse_json(body: bytes) -> Any:
    """Parse JSON in UTF-8. Raises Problem 400 with the position of the error."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise Problem(400, f"The body is not valid UTF-8, at byte {problem.start}.") from None
    if not text.strip():
        raise Problem(400, "The body is empty; it must be a JSON object.")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as problem:
        place = f"line {problem.lineno}, column {problem.colno}"
        raise Problem(400, f"The body is not valid JSON: {problem.msg} at {place}.") from None
    except RecursionError:
        raise Problem(400, "The body is nested too deeply.") from None
    except ValueError:
        # Python refuses to parse an int of thousands of digits.
        raise Problem(400, "The body has a number with too many digits.") from None


def _check_headers(environ: Mapping[str, Any]) -> None:
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type and content_type != "application/json":
        _check_content_type(content_type)
    encoding = environ.get("HTTP_CONTENT_ENCODING", "")
    if encoding and encoding.strip().lower() != "identity":
        raise Problem(
            415,
            "A compressed body is not accepted; send plain JSON.",
            headers=(("Accept-Encoding", "identity"),),
        )


def _check_content_type(content_type: str) -> None:
    media_type, _, parameters = content_type.lower().partition(";")
    if _UNSUPPORTED.fullmatch(media_type.strip()):
        raise Problem(415, "The body must be JSON (Content-Type: application/json).")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip("\"'") not in _UTF8:
            raise Problem(415, "The body must be JSON in UTF-8.")


def _too_large() -> Problem:
    return Problem(413, f"The body may have at most {MAX_BODY:,} bytes.")


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:  # the exponent is too large
        return Decimal("Infinity")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Parsers disagree on which of two values counts.
        raise Problem(400, "The body has an object with the same name twice.")
    return found


_DECODER = json.JSONDecoder(
    parse_float=_decimal,
    parse_constant=Decimal,  # NaN and the infinities: refused later, by field
    object_pairs_hook=_object,
)
