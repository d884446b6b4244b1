"""The API's own page, under its Content-Security-Policy."""

from __future__ import annotations

from ..support.api_service import Service
from ..support.page_driver import PageDriver


def test_the_description_is_drawn_and_nothing_in_it_is_refused(
    house: Service, visitor: PageDriver
) -> None:
    visitor.go(house, "/docs/swagger")
    visitor.sees(".opblock-summary-path", "/orders")
    visitor.click("[id$=place_order] .opblock-summary-control")
    visitor.find(".opblock-body")
    visitor.go(house, "/docs")
    visitor.click("a[href$=swagger]")
    visitor.sees(".opblock-summary-path", "/orders")
