"""Names in addresses: a dish or a customer may have any name, such as AC/DC, `..` or 100 %.

In a path a name stands percent-encoded: `/customers/AC%2FDC`. WSGI servers decode that before the
path is matched, and so do some proxies; so a name in a path takes all slashes, whatever they were.
Clients and proxies take `.`, `..`, doubled and trailing slashes out of paths, and a name may end
like an operation (`x/vip`). Such a name is given as the parameter `name` (`/customers?name=..`),
which nothing between here and there changes.
"""

from __future__ import annotations

import re
from typing import Annotated

from flask import Flask
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from werkzeug.routing import BaseConverter, Map

from pizza.domain.errors import FieldError, InvalidRequest
from pizza.web.http.pagination import refuse_unknown

CONVERTER = "named"
BY_PARAMETER = (
    "For names that no path can carry, such as `.`, `..` or `a//b`; any name may be given so."
)


class NameConverter(BaseConverter):
    """The part of a path that is a name: everything but a trailing slash."""

    part_isolating = False
    weight = 200

    def __init__(self, url_map: Map, *operations: str) -> None:
        """operations: last segments that are no part of the name, but another address."""
        super().__init__(url_map)
        ends = "".join(f"(?<!/{re.escape(word)})" for word in operations)
        whole = "".join(f"(?!{re.escape(word)}/?\\Z)" for word in operations)
        self.regex = f"{whole}(?s:.*[^/]){ends}"


class NameQuery(BaseModel):
    """Which one, by the parameter `name`."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"required": ["name"]})

    name: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None, description="capitals, spaces and Unicode form do not matter"
    )

    def read(self) -> str:
        """The name. Raises InvalidRequest where there is none, or anything else."""
        refuse_unknown(self)
        if self.name is None:
            raise InvalidRequest([FieldError("name", "is missing")])
        return self.name


def install(app: Flask) -> None:
    """Let rules of `app` use the converter; before they are added."""
    app.url_map.converters[CONVERTER] = NameConverter


def accept_trailing_slashes(app: Flask) -> None:
    """Let a path with a name end with a slash, as all others may; after all rules are added.

    Werkzeug's `strict_slashes=False` is not for converters that take slashes.
    """
    for rule in list(app.url_map.iter_rules()):
        if f"<{CONVERTER}" in rule.rule:
            app.add_url_rule(
                f"{rule.rule}/",
                rule.endpoint,
                methods=rule.methods,
                provide_automatic_options=False,
            )
