"""The API's own page, under its Content-Security-Policy."""

from __future__ import annotations

from ..support.api_service import Service
from ..support.page_driver import PageDriver


def test_the_description_is_shown_without_violations_of_the_policy(
    service: Service, page: PageDriver
) -> None:
    page.go(service, "/docs/swagger")
    page.sees(".opblock-summary-path", "/orders")
    page.click("[id$=place_order] .opblock-summary-control")
    page.find(".opblock-body")
    page.go(service, "/docs")
    page.click("a[href$=swagger]")
    page.sees(".opblock-summary-path", "/orders")
