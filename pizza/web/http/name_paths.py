"""Names in URLs: a dish or a customer may have any name, such as AC/DC, `..` or 100 %.

In a path a name is percent-encoded: `/customers/AC%2FDC`. WSGI servers and some proxies decode it
before the path is matched, so a name in a path includes all slashes. Clients and proxies remove
`.`, `..`, doubled and trailing slashes from paths, and a name may end like an operation (`x/vip`).
Such a name is passed as the parameter `name` (`/customers?name=..`), which they do not change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from flask import Flask, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from werkzeug.routing import BaseConverter, Map

from pizza.domain.errors import FieldError, InvalidRequest
from pizza.web import openapi
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


class NamePath(BaseModel):
    """The name of a dish or customer in a path."""

    name: str = Field(description="capitals, spaces and Unicode form do not matter")


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


def by_name(
    route: Callable[..., Any],
    before: str,
    after: str = "",
    *,
    operations: tuple[str, ...] = (),
    responses: dict[str | int, Any],
    **described: Any,
) -> Callable[[Callable[[str], Response]], None]:
    """Decorate a view of a name, at `before/NAME/after` and at `before/after?name=NAME`.

    The second address is the operation `…_named`. route: such as `app.post`. operations: as in
    NameConverter. described: further arguments of `route`.
    """

    def register(view: Callable[[str], Response]) -> None:
        def in_path(path: NamePath) -> Response:
            return view(path.name)

        def as_parameter(query: NameQuery) -> Response:
            return view(query.require_name())

        in_path.__name__ = view.__name__
        as_parameter.__name__ = f"{view.__name__}_named"
        words = ",".join(f"'{word}'" for word in operations)
        converter = f"{CONVERTER}({words})" if words else CONVERTER
        route(f"{before}/<{converter}:name>{after}", responses=responses, **described)(in_path)
        described["summary"] += " (the name is a parameter)"
        responses_named = {**responses, **openapi.problems(422)}
        route(f"{before}{after}", description=BY_PARAMETER, responses=responses_named, **described)(
            as_parameter
        )

    return register


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
