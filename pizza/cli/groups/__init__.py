"""The staff's commands, one file a topic: `flask --app pizza orders list` and its like."""

from __future__ import annotations

import click

from pizza.cli.groups.audit import audit
from pizza.cli.groups.customers import customers
from pizza.cli.groups.keys import keys
from pizza.cli.groups.kitchen import kitchen
from pizza.cli.groups.menu import menu
from pizza.cli.groups.orders import orders
from pizza.cli.groups.report import report
from pizza.cli.groups.sessions import sessions
from pizza.cli.groups.webhooks import webhooks
from pizza.cli.groups.workers import workers

GROUPS: tuple[click.Command, ...] = (
    orders, workers, menu, customers, kitchen, report, keys, webhooks, sessions, audit,
)  # fmt: skip
