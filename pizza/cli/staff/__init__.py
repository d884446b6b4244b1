"""The staff commands, one file a topic, such as `flask --app pizza orders list`."""

from __future__ import annotations

import click

from pizza.cli.staff.audit import audit
from pizza.cli.staff.customers import customers
from pizza.cli.staff.keys import keys
from pizza.cli.staff.kitchen import kitchen
from pizza.cli.staff.menu import menu
from pizza.cli.staff.orders import orders
from pizza.cli.staff.report import report
from pizza.cli.staff.sessions import sessions
from pizza.cli.staff.webhooks import webhooks
from pizza.cli.staff.workers import workers

GROUPS: tuple[click.Command, ...] = (
    orders,
    workers,
    menu,
    customers,
    kitchen,
    report,
    keys,
    webhooks,
    sessions,
    audit,
)
