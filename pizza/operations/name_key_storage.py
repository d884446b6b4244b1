"""Computes the keys of names that release 0.2 leaves out in its rows, before us or next to us."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from pizza.database.arrays import text_array
from pizza.database.connection import Connection, fetch_first
from pizza.database.queries import Queries
from pizza.domain.names import fold_name
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)

_SQL = Queries("restaurant/name_keys")


@dataclass(frozen=True, slots=True)
class Merge:
    """Rows merged into one, because their names have the same key. merged_name has a copy of them.

    kept: the name (of a customer: the key) of the row that stays; merged: of the other rows.
    """

    kind: Literal["dish", "customer"]
    kept: str
    merged: tuple[str, ...]


def fold_names(conn: Connection) -> None:
    """Compute missing keys of dishes and customers, and log every merge.

    Runs at set-up and as a periodic task. Opens transactions if there is work.
    """
    for merge in (*_fold_dishes(conn), *_fold_customers(conn)):
        text = f"Names that differ only in case, spaces or Unicode form are one {merge.kind} now"
        details = {"kept": merge.kept, "merged": list(merge.merged)}
        log_action(log.warning, "names_merged", text, details)


def _fold_dishes(conn: Connection) -> list[Merge]:
    """Compute missing keys of dishes in a transaction; only one query if none is missing.

    Of dishes with the same key, the one changed last stays; it is sold out if one of them was.
    """
    if not _exists(conn, _SQL.dishes_without_key):
        return []
    with conn.transaction():
        conn.execute(_SQL.lock_menu)
        groups: dict[str, list[tuple[str, str | None, bool]]] = {}
        for name, key, sold_out in conn.execute(_SQL.dishes).fetchall():
            groups.setdefault(key or fold_name(name), []).append((name, key, sold_out))
        return [
            merge
            for key, rows in groups.items()
            if any(known is None for _, known, _ in rows)
            for merge in _fold_dish(conn, key, rows)
        ]


def _fold_dish(conn: Connection, key: str, rows: list[tuple[str, str | None, bool]]) -> list[Merge]:
    kept, *merged = [name for name, _, _ in rows]
    if merged:
        conn.execute(_SQL.merge_dishes, {"names": text_array(merged), "kept": kept})
    sold_out = any(sold_out for _, _, sold_out in rows)
    conn.execute(_SQL.set_dish_key, {"key": key, "sold_out": sold_out, "name": kept})
    return [Merge("dish", kept, tuple(merged))] if merged else []


def _fold_customers(conn: Connection) -> list[Merge]:
    """Correct keys of customers in a transaction; only one query if all are right.

    Of customers with the same key, the one changed last stays.
    """
    if not _exists(conn, _SQL.customers_of_former_keys):
        return []
    merges = []
    with conn.transaction():
        conn.execute(_SQL.lock_customers)
        groups: dict[str, list[str]] = {}
        for former, name in conn.execute(_SQL.former_customers).fetchall():
            groups.setdefault(fold_name(name), []).append(former)
        for key, formers in groups.items():
            keys = text_array([key, *formers])
            kept, *merged = [k for (k,) in conn.execute(_SQL.customers_of_keys, {"keys": keys})]
            if merged:
                conn.execute(_SQL.merge_customers, {"keys": text_array(merged), "kept": kept})
                merges.append(Merge("customer", kept, tuple(merged)))
            conn.execute(_SQL.set_customer_key, {"key": key, "former": kept})
    return merges


def _exists(conn: Connection, query: str) -> bool:
    row = fetch_first(conn, query)
    return row is not None and bool(row[0])
