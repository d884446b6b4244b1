"""`/manage/dead-letters` on a real database; there is no broker."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from pizza.database.connection import BoundedConnection

PAGE = "/manage/dead-letters"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HERE = {**HTML, "Sec-Fetch-Site": "same-origin"}
HOSTILE = "<script>alert(1)</script> \u202egnp.exe\x1b[31m " + "w" * 10_000
TRACEBACK = "Traceback (most recent call last):\n" + "  in <module>\n" * 1400


def insert(conn: BoundedConnection, number: int = 1, **columns: Any) -> list[str]:
    values = {
        "task": "bake", "queue": "bakery", "body": b'{"loaf": 1}', "attempts": 3, "runs": 5,
        "reason": "KeyError: 'flour'", **columns,
    }  # fmt: skip
    return [
        id
        for (id,) in conn.execute(
            f"""insert into dead_message (id, died_at, {", ".join(values)})
                select gen_random_uuid(), '2026-01-01 12:00:00Z'::timestamptz
                                          + n * interval '1 ms',
                       {", ".join(["%s"] * len(values))}
                from generate_series(1, %s) n returning id::text""",
            [*values.values(), number],
        ).fetchall()
    ]


def post(client: FlaskClient, verb: str, id: str) -> Any:
    return client.post(PAGE, data={"do": verb, "id": id}, headers=HERE)


def left(conn: BoundedConnection) -> list[str]:
    return [id for (id,) in conn.execute("select id::text from dead_message order by died_at")]


def test_the_page_shows_all_fields_of_each_dead_letter(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    assert "No failed messages." in client.get(PAGE, headers=HTML).text
    insert(conn, traceback=TRACEBACK, headers='{"from": "Zoë"}', needs=["oven"], priority=4)
    insert(conn, task=None)
    text = client.get(PAGE, headers=HTML).text
    for piece in (
        "bake", "Event", "from <bdi>bakery</bdi>", "KeyError: &#39;flour&#39;", "attempt 3",
        "5 runs", "priority 4", "needs oven", "2026-01-01T12:00:00.001Z", "&#34;loaf&#34;: 1",
        "Zoë", "in &lt;module&gt;", "2 in all",
    ):  # fmt: skip
        assert piece in text
    assert text.count("<summary>Traceback</summary>") == 1
    assert "<details open" not in text


def test_hostile_text_is_text(client: FlaskClient, conn: BoundedConnection) -> None:
    insert(
        conn, reason=HOSTILE, task=HOSTILE, queue=HOSTILE, body=HOSTILE.encode(),
        traceback=HOSTILE, needs=[HOSTILE[:200]],
    )  # fmt: skip
    text = client.get(PAGE, headers=HTML).text
    assert "<script>alert" not in text
    assert "\u202e" not in text and "\x1b" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 5
    # The word of 10,000 letters is cut but in the traceback, which is folded.
    assert len(text) < 20_000


def test_the_first_hundred_of_many_are_shown(client: FlaskClient, conn: BoundedConnection) -> None:
    ids = insert(conn, 150, body=b"x" * 100_000)
    text = client.get(PAGE, headers=HTML).text
    assert "The oldest 100 of 150." in text
    assert text.count('class="card" id="letter-') == 100
    assert ids[99] in text and ids[100] not in text
    assert len(text) < 1_000_000


def test_one_dead_letter_is_dropped_and_one_is_retried(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    first, second, third = insert(conn, 3)
    for verb, id in (("drop", first), ("retry", second)):
        answer = post(client, verb, id)
        assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert left(conn) == [third]
    assert conn.execute("select id::text from message").fetchall() == [(second,)]


def test_all_are_retried_and_those_that_cannot_be_are_named(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    insert(conn, 3)
    (homeless,) = insert(conn, queue="dead_letter_queue")
    answer = post(client, "retry", "*")
    assert answer.status_code == 409
    assert "3 were retried, 1 was not:" in answer.text
    assert f"<li>{homeless}: the dead message does not say from which queue" in answer.text
    assert left(conn) == [homeless]
    assert post(client, "drop", "*").status_code == 303
    assert left(conn) == []


def test_a_locked_dead_letter_is_named(
    client: FlaskClient, conn: BoundedConnection, db_url: str
) -> None:
    (locked,) = insert(conn)
    with psycopg.connect(db_url) as other:
        other.execute("select from dead_message for update")
        answer = post(client, "drop", locked)
    assert "0 were deleted, 1 was not:" in answer.text
    assert "another transaction is working on this dead message" in answer.text


@pytest.mark.parametrize(("verb", "id"), [("", "*"), ("eat", "*")])
def test_an_empty_form_changes_nothing(
    client: FlaskClient, conn: BoundedConnection, verb: str, id: str
) -> None:
    ids = insert(conn, 2)
    assert post(client, verb, id).status_code == 400
    assert left(conn) == ids


def test_thousands_are_sent_again_with_one_click(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    insert(conn, 3_000)
    assert post(client, "retry", "*").status_code == 303
    assert left(conn) == []
