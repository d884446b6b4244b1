"""Where's my pizza: a restaurant's order system on PostgreSQL and RabbitMQ."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["create_app"]


def create_app() -> Flask:
    """Build the Flask application for `flask --app pizza …`, from the environment and `.env`.

    Flask is imported only here: a kitchen worker imports this package too, and needs no Flask.
    """
    from pizza.cli.development import create_app as create  # noqa: PLC0415

    return create()
