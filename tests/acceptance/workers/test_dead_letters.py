"""Dead letters on the command line: an operator lists, retries and drops."""

from __future__ import annotations

import json
import subprocess
import sys

from ...support.restaurant import eventually


def command(restaurant, *words, db_url=None):
    """Run `flask --app pizza dead-letters …`, away from RabbitMQ: exit code, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "pizza", "dead-letters", *words],
        env={
            "DB_URL": db_url or restaurant.db_url,
            "RABBITMQ": "127.0.0.1:1",
            "PATH": "",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def listed(restaurant):
    code, out, err = command(restaurant, "list", "--json")
    assert code == 0, err
    return json.loads(out)


def test_an_operator_lists_retries_and_drops_dead_letters(new_restaurant):
    restaurant = new_restaurant()
    restaurant.open()
    restaurant.start_cook("chef")
    assert listed(restaurant) == []
    # An order of the future from another program, and one that makes no sense.
    restaurant.publish("orders_direct", "kitchen.order", {"customer_name": "Jo", "items": []})
    restaurant.publish("orders_direct", "kitchen.order", {"customer_name": "Jo", "total": 3})
    eventually(lambda: len(listed(restaurant)) == 2, 20, "two dead letters")
    first, second = listed(restaurant)
    assert first["task"] == "accept_order"
    assert "items" in first["reason"]

    code, out, _ = command(restaurant, "list")
    assert code == 0
    assert out.endswith("2 dead letters.\n")
    code, out, _ = command(restaurant, "show", second["id"])
    assert code == 0
    assert json.loads(out)["body"] == {"customer_name": "Jo", "total": 3}

    assert command(restaurant, "drop", second["id"])[:2] == (0, "1 dead letter was dropped.\n")
    assert command(restaurant, "list")[1].endswith("\n1 dead letter.\n")
    bare = restaurant.servers.postgres.create_database("dead_letters_without_tables")
    code, _, err = command(restaurant, "retry", "--all", db_url=bare)
    assert code == 1
    assert err == "pizza: The database is not set up yet: run flask --app pizza setup-db.\n"
    assert command(restaurant, "retry", first["id"])[:2] == (0, "1 dead letter was sent again.\n")
    # It is as bad as before, and comes back.
    eventually(
        lambda: [each["id"] for each in listed(restaurant)] == [first["id"]], 20, "dead again"
    )
    assert command(restaurant, "drop", "--all")[0] == 0
    assert listed(restaurant) == []


def test_mistakes_are_sentences(new_restaurant):
    restaurant = new_restaurant()
    code, _, err = command(restaurant, "show", "no-such-id")
    assert (code, err) == (1, "pizza: There is no dead letter no-such-id.\n")
    code, _, err = command(restaurant, "drop")
    assert code == 2
    assert "Name one dead letter, or say --all." in err
