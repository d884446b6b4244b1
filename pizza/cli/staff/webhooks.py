"""`flask --app pizza webhooks …`: other programs that receive events over HTTP."""

from __future__ import annotations

import click

from pizza.cli import output, terminal
from pizza.config.settings import load
from pizza.domain.webhooks import TYPES
from pizza.web.schemas import documents
from pizza.webhooks import storage
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


@click.group(cls=output.StaffGroup)
def webhooks() -> None:
    """Webhooks: other programs that receive events of orders over HTTP."""


@webhooks.command()
@click.argument("url")
@_TYPES
@click.option("--description", help="What it is, for people.")
def add(url: str, types: str | None, description: str | None) -> None:
    """Register a webhook, and print its signing secret: this once.

    Example:
      flask --app pizza webhooks add https://hooks.example/pizza --types order.ready
    """
    change = WebhookPatch(url, _words(types), description)
    with output.open_database() as conn:
        settings = load({})  # open_database has refused invalid ones
        policy = UrlPolicy(settings.webhook_schemes, settings.webhook_private_targets)
        service.validate_patch(policy, change)
        found, secret = service.add_webhook(
            conn, url, change.types, description, actor=output.current_actor()
        )
    output.print_result(secret, documents.webhook(found, secret))
    if not output.wants_json():
        terminal.echo(f"This is the secret of webhook {found.id}. It is not shown again.", err=True)


@webhooks.command("list")
def list_() -> None:
    """Show all webhooks, oldest first.

    Example:
      flask --app pizza webhooks list
    """
    found = output.run_feature(storage.list_webhooks)
    output.print_list(map(documents.webhook, found), _COLUMNS, nothing="There are no webhooks.")


@webhooks.command()
@_ID
def enable(id: str) -> None:
    """Enable a webhook again.

    Example:
      flask --app pizza webhooks enable 1
    """
    _change(id, enabled=True)


@webhooks.command()
@_ID
def disable(id: str) -> None:
    """Send nothing to a webhook from now on.

    Example:
      flask --app pizza webhooks disable 1
    """
    _change(id, enabled=False)


@webhooks.command()
@_ID
def remove(id: str) -> None:
    """Delete a webhook, with the log of its deliveries.

    Example:
      flask --app pizza webhooks remove 1
    """
    output.run_feature(service.remove_webhook, id, actor=output.current_actor())
    output.print_result(f"Webhook {id} is removed.", {"removed": id})


@webhooks.command()
@_ID
def rotate(id: str) -> None:
    """Give a webhook another secret, and print it; for a day deliveries are signed with both.

    Example:
      flask --app pizza webhooks rotate 1
    """
    actor = output.current_actor()
    found, secret = output.run_feature(service.rotate_secret, id, actor=actor)
    output.print_result(secret, documents.webhook(found, secret))


@webhooks.command()
@_ID
def test(id: str) -> None:
    """Deliver an event of the type webhook.test.

    Example:
      flask --app pizza webhooks test 1
    """
    found = output.run_feature(service.test_webhook, id, actor=output.current_actor())
    output.print_result(f"Delivery {found.id} is on its way.", documents.delivery(found))


@webhooks.command()
@_ID
@click.option("--limit", type=int, default=service.LISTED, show_default=True, help="How many.")
@click.option("--before", metavar="DELIVERY", help="Only older ones than this delivery.")
def deliveries(id: str, limit: int, before: str | None) -> None:
    """Show what became of a webhook's deliveries, newest first.

    Example:
      flask --app pizza webhooks deliveries 1 --limit 20
    """
    found = output.run_feature(service.list_deliveries, id, limit=limit, before=before)
    nothing = "There are no deliveries."
    output.print_list(map(documents.delivery, found), _DELIVERIES, nothing=nothing)


@webhooks.command()
@_ID
@click.argument("delivery", metavar="DELIVERY")
def retry(id: str, delivery: str) -> None:
    """Repeat a delivery now, whatever its state is.

    Example:
      flask --app pizza webhooks retry 1 0b7a52f4-7f19-5d0a-9a4e-3c2f2f4c1d11
    """
    actor = output.current_actor()
    found = output.run_feature(service.retry_delivery, id, delivery, actor=actor)
    output.print_result(f"Delivery {found.id} is on its way.", documents.delivery(found))


def _change(id: str, *, enabled: bool) -> None:
    patch = WebhookPatch(enabled=enabled)
    found = output.run_feature(service.change_webhook, id, patch, actor=output.current_actor())
    sentence = f"Webhook {found.id} is {'enabled' if enabled else 'disabled'}."
    output.print_result(sentence, documents.webhook(found))


def _words(text: str | None) -> list[str] | None:
    return [word.strip() for word in text.split(",")] if text else None
