"""Builds the Flask application of the order service, with its OpenAPI document."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_openapi3.models.info import Info
from flask_openapi3.models.schema import Schema
from flask_openapi3.openapi import OpenAPI
from werkzeug.routing import Map

from pizza.auth.authenticator import Authenticator
from pizza.config.settings import Settings
from pizza.database.connection import connect
from pizza.orders.placement import OrderPlacement
from pizza.taskqueue import trace
from pizza.web import openapi, pages
from pizza.web.api import (
    customers,
    health,
    kitchen,
    menu,
    metrics,
    order_actions,
    orders,
    reports,
    webhooks,
    workers,
)
from pizza.web.api.place_order import PlaceOrder
from pizza.web.dependencies import AUTHENTICATION_SECONDS, Dependencies
from pizza.web.http import etags, name_paths, response_headers
from pizza.web.http.access_log import access_log
from pizza.web.schemas.responses import ProblemResponse
from pizza.web.security.authorization import Authorizer
from pizza.web.security.credentials import Credentials
from pizza.web.security.proxies import behind_proxies
from pizza.web.security.rate_limits import RateLimits
from pizza.web.security.request_checks import HostCheck, check_requests
from pizza.web.streams import endpoints
from pizza.web.streams.hub import StreamHub
from pizza.web.streams.limiter import StreamLimiter

__all__ = ["Dependencies", "WebApp", "create_app"]


class _Map(Map):
    """Matches routes with or without a trailing slash; Werkzeug would redirect with HTML."""

    def __init__(self, **options: Any) -> None:
        options.update(strict_slashes=False, merge_slashes=False)
        super().__init__(**options)


class WebApp(OpenAPI):
    """The application.

    streams: have to be closed before the process can end.
    """

    url_map_class: type[Map] = _Map
    authenticator: Authenticator
    streams: endpoints.StreamEndpoints

    @property
    def api_doc(self) -> dict[str, Any]:
        """The description of the API, as authentication is now."""
        described = openapi.add_security(super().api_doc, self.authenticator)
        if request and request.script_root:
            described["servers"] = [{"url": request.script_root}]
        return described

    def make_default_options_response(self) -> Response:
        """Respond to OPTIONS without a body; Flask would add the Content-Type of HTML."""
        response = super().make_default_options_response()
        response.status_code = 204
        del response.headers["Content-Type"]
        return response


def create_app(settings: Settings, dependencies: Dependencies) -> WebApp:
    """Build the application; opens no connection and starts no thread."""
    app = WebApp(
        "pizza",
        info=Info(title="Where's my pizza", version="1"),
        security_schemes=openapi.SCHEMES,
        doc_prefix="/docs",
        # The name of a view is its endpoint and its operationId.
        operation_id_callback=lambda name, path, method: name,
        # Each operation documents its errors; the library must not add any.
        validation_error_status=500,
        validation_error_model=ProblemResponse,
        static_folder=None,
    )
    name_paths.install(app)
    response_headers.install(app)
    app.authenticator = authenticator = Authenticator(
        lambda: dependencies.pool.connection(timeout=AUTHENTICATION_SECONDS),
        (key.digest for key in settings.keys),
        dependencies.authentication,
        idle_seconds=settings.session_idle,
    )
    credentials = Credentials(authenticator)
    authorizer = Authorizer(authenticator, credentials)
    limits = RateLimits(settings, authenticator, authorizer.has_key)
    authorizer.install(app)
    etags.install(app)
    place_order = PlaceOrder(
        settings, dependencies, authorizer, limits, OrderPlacement(settings.cooking_time)
    )
    orders.register(app, dependencies, place_order, credentials)
    for topic in (order_actions, workers, menu, kitchen, customers, reports):
        topic.register(app, dependencies)
    hub = StreamHub(
        lambda: connect(settings.db_url, name=f"{settings.service} streams"), authenticator.refresh
    )
    limiter = StreamLimiter(settings.streams_per_worker, hub.ping)
    app.streams = endpoints.StreamEndpoints(dependencies, authenticator, limits, hub, limiter)
    endpoints.register(app, app.streams, credentials)
    webhooks.register(app, dependencies, settings)
    health.register(app, dependencies)
    metrics.register(app, dependencies)
    app.components_schemas.update(
        {name: Schema(**schema) for name, schema in openapi.components().items()}
    )
    pages.install(app, dependencies, authenticator, credentials, place_order)
    name_paths.accept_trailing_slashes(app)
    app.add_url_rule("/openapi.json", "openapi_json", lambda: app.api_doc)
    hosts = HostCheck(settings.allowed_hosts, authenticator.auth_required)
    wsgi = check_requests(app.wsgi_app, hosts, limits)
    if settings.log_level == "DEBUG":
        wsgi = access_log(wsgi)
    wsgi = response_headers.with_headers(wsgi)
    wsgi = behind_proxies(wsgi, settings.trusted_proxies)
    app.wsgi_app = trace.each_request(wsgi)  # type: ignore[method-assign, assignment]
    return app
