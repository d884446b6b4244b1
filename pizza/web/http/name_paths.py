"""Names in URLs: a dish or a customer may have any name, such as AC/DC, `..` or 100 %.

In a path a name is percent-encoded: `/customers/AC%2FDC`. WSGI servers and some proxies decode it
before the path is matched, so a name in a path includes all slashes. Clients and proxies remove
`.`, `..`, doubled and trailing slashes from paths, and a name may end like an operation (`x/vip`).
Such a name is passed as the parameter `name` (`/customers?name=..`), which they do not change.
"""

from __future__ import annotations

import re
from typing import Annotated

from flask import Flask
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from werkzeug.routing import BaseConverter, Map

from pizza.domain.errors import FieldError, InvalidRequest
from pizza.web.http.pagination import reject_unknown

CONVERTER = "named"
BY_PARAMETER = (
    "For names that a path cannot contain, such as `.`, `..` or `a//b`; works for any name."
)


class NameConverter(BaseConverter):
    """Matches a name in a path: everything but a trailing slash."""

    part_isolating = False
    weight = 200

    def __init__(self, url_map: Map, *operations: str) -> None:
        """operations: last segments that are not part of the name, but of another path."""
        super().__init__(url_map)
        ends = "".join(f"(?<!/{re.escape(word)})" for word in operations)
        whole = "".join(f"(?!{re.escape(word)}/?\\Z)" for word in operations)
        self.regex = f"{whole}(?s:.*[^/]){ends}"


class NameQuery(BaseModel):
    """The name of a dish or customer as a parameter."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"required": ["name"]})

    name: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None, description="capitals, spaces and Unicode form do not matter"
    )

    def require_name(self) -> str:
        """The name. Raises InvalidRequest without a name, or for another parameter."""
        reject_unknown(self)
        if self.name is None:
            raise InvalidRequest([FieldError("name", "is missing")])
        return self.name


def install(app: Flask) -> None:
    """Register the converter; call it before rules are added."""
    app.url_map.converters[CONVERTER] = NameConverter


def accept_trailing_slashes(app: Flask) -> None:
    """Let a path with a name end with a slash; call it after all rules are added.

    Werkzeug's `strict_slashes=False` does not cover converters that match slashes.
    """
    for rule in list(app.url_map.iter_rules()):
        if f"<{CONVERTER}" in rule.rule:
            app.add_url_rule(
                f"{rule.rule}/",
                rule.endpoint,
                methods=rule.methods,
                provide_automatic_options=False,
            )
