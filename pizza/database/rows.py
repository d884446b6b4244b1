"""Rows as dataclasses: each column is the field of its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from psycopg.rows import class_row

from pizza.database.connection import Connection

Row = TypeVar("Row")


def fetch_all(
    conn: Connection, row_type: type[Row], query: str, parameters: Mapping[str, Any] | None = None
) -> list[Row]:
    """Run a query; return its rows, each as a `row_type`."""
    with conn.cursor(row_factory=class_row(row_type)) as cursor:
        return cursor.execute(query, parameters).fetchall()


def fetch_one(
    conn: Connection, row_type: type[Row], query: str, parameters: Mapping[str, Any] | None = None
) -> Row | None:
    """Run a query; return its first row as a `row_type`, or None."""
    with conn.cursor(row_factory=class_row(row_type)) as cursor:
        return cursor.execute(query, parameters).fetchone()
