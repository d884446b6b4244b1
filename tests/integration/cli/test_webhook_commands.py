"""`flask --app pizza webhooks` on a real database."""

from __future__ import annotations

import json

from .test_staff_commands import Run, conn, run

__all__ = ["conn", "run"]

URL = "https://93.184.216.34/pizza"


def test_a_webhook_from_its_registration_to_its_end(run: Run) -> None:
    added = run("webhooks", "add", URL, "--types", "order.ready,order.delivered")
    assert added.stdout.startswith("whsec_") and "webhook 1" in added.stderr
    assert run("webhooks", "list").stdout.splitlines()[1].startswith(f"1   {URL}")
    (listed,) = json.loads(run("webhooks", "list", "--json").stdout)
    assert listed["types"] == ["order.ready", "order.delivered"] and "secret" not in listed

    delivery = json.loads(run("webhooks", "test", "1", "--json").stdout)["id"]
    assert delivery in run("webhooks", "deliveries", "1").stdout
    assert delivery in run("webhooks", "retry", "1", delivery).stdout
    assert json.loads(run("webhooks", "rotate", "1", "--json").stdout)["secret"]
    assert "disabled" in run("webhooks", "disable", "1").stdout
    assert "enable it first" in run("webhooks", "test", "1", code=1).stderr
    assert "enabled" in run("webhooks", "enable", "1").stdout
    run("webhooks", "remove", "1")
    assert run("webhooks", "list").stdout == "There are no webhooks.\n"


def test_a_private_target_is_refused_unless_it_is_allowed(run: Run, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    refused = run("webhooks", "add", "https://127.0.0.1/", code=2)
    assert "not a public address" in refused.stderr
    monkeypatch.setenv("WEBHOOK_PRIVATE_TARGETS", "yes")
    run("webhooks", "add", "https://127.0.0.1/")
