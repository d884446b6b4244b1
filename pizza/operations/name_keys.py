"""Computes missing keys of names: processes of release 0.2 insert rows without keys."""

from __future__ import annotations

import logging

from pizza.database.connection import Connection
from pizza.operations import name_key_storage
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)


def fold_names(conn: Connection) -> None:
    """Compute missing keys of dishes and customers, and log every merge.

    Runs at set-up and as a periodic task. Opens transactions if there is work.
    """
    for merge in (*name_key_storage.fold_dishes(conn), *name_key_storage.fold_customers(conn)):
        text = f"Names that differ only in case, spaces or Unicode form are one {merge.kind} now"
        details = {"kept": merge.kept, "merged": list(merge.merged)}
        log_action(log.warning, "names_merged", text, details)
