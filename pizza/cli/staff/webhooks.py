"""`flask --app pizza webhooks …`: other programs that receive events over HTTP."""

from __future__ import annotations

import sys

import click

from pizza.cli import commands, output, terminal
from pizza.config.settings import SettingsError, load
from pizza.domain.webhooks import TYPES
from pizza.web.schemas import documents
from pizza.webhooks import webhooks as service
from pizza.webhooks.webhooks import UrlPolicy, WebhookPatch

_COLUMNS = {
    "Id": "id",
    "URL": "url",
    "Types": "types",
    "Enabled": "enabled",
    "Why not": "disabled_reason",
    "Failing since (UTC)": "failing_since",
    "Description": "description",
}
_DELIVERIES = {
    "Id": "id",
    "Type": "type",
    "Order": "order_number",
    "State": "state",
    "Attempts": "attempts",
    "Last (UTC)": "last_attempt_at",
    "Next (UTC)": "next_attempt_at",
    "Problem": "problem",
}
_ID = click.argument("id", metavar="ID")
_TYPES = click.option(
    "--types", metavar="TYPES", help=f"Only those, with commas between: {', '.join(TYPES)}."
)


@click.group()
def webhooks() -> None:
    """Webhooks: other programs that receive events of orders over HTTP."""


@webhooks.command()
@click.argument("url")
@_TYPES
@click.option("--description", help="What it is, for people.")
@output.as_json
def add(url: str, types: str | None, description: str | None, as_json: bool) -> None:
    """Register a webhook, and print its signing secret: this once.

    \b
    Example:
      flask --app pizza webhooks add https://hooks.example/pizza --types order.ready
    """
    change = WebhookPatch(url, _words(types), description)
    with output.open_database() as conn:
        service.validate_patch(_policy(), change)
        found, secret = service.add_webhook(
            conn, url, change.types, description, actor=output.current_actor()
        )
    if as_json:
        output.print_document(documents.webhook(found, secret), as_json=True)
        return
    terminal.echo(secret)
    terminal.echo(f"This is the secret of webhook {found.id}. It is not shown again.", err=True)


@webhooks.command("list")
@output.as_json
def list_(as_json: bool) -> None:
    """Show all webhooks, oldest first.

    \b
    Example:
      flask --app pizza webhooks list
    """
    with output.open_database() as conn:
        found = service.list_webhooks(conn)
    output.print_list(
        [documents.webhook(each) for each in found],
        _COLUMNS,
        as_json=as_json,
        nothing="There are no webhooks.",
    )


@webhooks.command()
@_ID
@output.as_json
def enable(id: str, as_json: bool) -> None:
    """Enable a webhook again.

    \b
    Example:
      flask --app pizza webhooks enable 1
    """
    _change(id, WebhookPatch(enabled=True), as_json)


@webhooks.command()
@_ID
@output.as_json
def disable(id: str, as_json: bool) -> None:
    """Send nothing to a webhook from now on.

    \b
    Example:
      flask --app pizza webhooks disable 1
    """
    _change(id, WebhookPatch(enabled=False), as_json)


@webhooks.command()
@_ID
@output.as_json
def remove(id: str, as_json: bool) -> None:
    """Delete a webhook, with the log of its deliveries.

    \b
    Example:
      flask --app pizza webhooks remove 1
    """
    with output.open_database() as conn:
        service.remove_webhook(conn, id, actor=output.current_actor())
    output.print_result(f"Webhook {id} is removed.", {"removed": id}, as_json=as_json)


@webhooks.command()
@_ID
@output.as_json
def rotate(id: str, as_json: bool) -> None:
    """Give a webhook another secret, and print it; for a day deliveries are signed with both.

    \b
    Example:
      flask --app pizza webhooks rotate 1
    """
    with output.open_database() as conn:
        found, secret = service.rotate_secret(conn, id, actor=output.current_actor())
    output.print_result(secret, documents.webhook(found, secret), as_json=as_json)


@webhooks.command()
@_ID
@output.as_json
def test(id: str, as_json: bool) -> None:
    """Deliver an event of the type webhook.test.

    \b
    Example:
      flask --app pizza webhooks test 1
    """
    with output.open_database() as conn:
        found = service.test_webhook(conn, id, actor=output.current_actor())
    output.print_result(
        f"Delivery {found.id} is on its way.", documents.delivery(found), as_json=as_json
    )


@webhooks.command()
@_ID
@click.option("--limit", type=int, default=service.LISTED, show_default=True, help="How many.")
@click.option("--before", metavar="DELIVERY", help="Only older ones than this delivery.")
@output.as_json
def deliveries(id: str, limit: int, before: str | None, as_json: bool) -> None:
    """Show what became of a webhook's deliveries, newest first.

    \b
    Example:
      flask --app pizza webhooks deliveries 1 --limit 20
    """
    with output.open_database() as conn:
        found = service.list_deliveries(conn, id, limit=limit, before=before)
    output.print_list(
        [documents.delivery(each) for each in found],
        _DELIVERIES,
        as_json=as_json,
        nothing="There are no deliveries.",
    )


@webhooks.command()
@_ID
@click.argument("delivery", metavar="DELIVERY")
@output.as_json
def retry(id: str, delivery: str, as_json: bool) -> None:
    """Repeat a delivery now, whatever its state is.

    \b
    Example:
      flask --app pizza webhooks retry 1 0b7a52f4-7f19-5d0a-9a4e-3c2f2f4c1d11
    """
    with output.open_database() as conn:
        found = service.retry_delivery(conn, id, delivery, actor=output.current_actor())
    output.print_result(
        f"Delivery {found.id} is on its way.", documents.delivery(found), as_json=as_json
    )


def _change(id: str, change: WebhookPatch, as_json: bool) -> None:
    with output.open_database() as conn:
        found = service.change_webhook(conn, id, change, actor=output.current_actor())
    sentence = f"Webhook {found.id} is {'enabled' if change.enabled else 'disabled'}."
    output.print_result(sentence, documents.webhook(found), as_json=as_json)


def _words(text: str | None) -> list[str] | None:
    return [word.strip() for word in text.split(",")] if text else None


def _policy() -> UrlPolicy:
    try:
        settings = load({})
    except SettingsError as problem:
        sys.exit(commands.print_refusal(str(problem)))
    return UrlPolicy(settings.webhook_schemes, settings.webhook_private_targets)
