"""Keys with roles, their sessions and their webhooks, on the real tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest

from pizza.auth import auth_cache, keys, sessions, storage
from pizza.auth.authenticator import ANONYMOUS, Authenticator, Principal
from pizza.database.connection import BoundedConnection
from pizza.domain.actor import Actor
from pizza.domain.errors import InvalidCredential, InvalidRequest, SessionNotFound
from pizza.domain.roles import DEVICE, MANAGER, MONITOR, ROLES, STATION
from pizza.webhooks import storage as webhook_storage
from pizza.webhooks import webhooks
from pizza.webhooks.events import create_delivery
from pizza.webhooks.webhooks import WebhookPatch

PAST = "update staff_key set expires_at = now() - interval '1 second' where id = %s"
# The hashes that release 0.2 accepts as valid keys.
OLD_HASHES = "select hash from staff_key where revoked_at is null"
URL = "https://hooks.example/T0/secret-of-the-address"
Open = Callable[..., Authenticator]


@pytest.fixture
def make_authenticator(conn: BoundedConnection, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Makes authenticators of this database that read it each time."""
    monkeypatch.setattr(auth_cache, "_MAX_AGE_S", 0.0)

    @contextmanager
    def lend() -> Iterator[BoundedConnection]:
        yield conn

    def make(*digests: bytes, **more: float) -> Authenticator:
        made = Authenticator(lend, digests, **more)
        # What a thread does otherwise: the tests have one connection.
        monkeypatch.setattr(made._uses, "record", lambda key, session: None)
        return made

    return make


def log_in(at: Authenticator, key: str) -> str:
    return at.log_in(key, source="203.0.113.7", agent="Browser\n1.0")


@pytest.mark.parametrize("role", ROLES)
def test_a_key_has_its_role_and_release_02_knows_only_managers(
    conn: BoundedConnection, make_authenticator: Open, role: str
) -> None:
    kept, key = keys.add_key(conn, "Pass", role=role, kind=DEVICE)

    assert make_authenticator().authenticate(key) == Principal(role, name="Pass", key_id=kept.id)
    old = [bytes(row[0]) for row in conn.execute(OLD_HASHES)]
    assert (keys.digest(key) in old) == (role == MANAGER)


def test_an_expired_key_counts_no_more_and_neither_do_its_sessions(
    conn: BoundedConnection, make_authenticator: Open
) -> None:
    kept, key = keys.add_key(conn, "Help for a day", good_for=timedelta(days=1))
    at = make_authenticator()
    cookie = log_in(at, key)
    assert at.authenticate(key).role == at.authenticate(cookie).role == MANAGER
    assert keys.digest(key) not in [bytes(row[0]) for row in conn.execute(OLD_HASHES)]

    conn.execute(PAST, [kept.id])
    at.refresh(0)

    with pytest.raises(InvalidCredential):
        at.authenticate(key)
    assert (
        at.authenticate(cookie)
        == at.authenticate_cached(cookie)
        == at.authenticate_cached(key)
        == ANONYMOUS
    )
    assert at.auth_required()


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"role": "owner"}, "role"),
        ({"kind": "robot"}, "kind"),
        ({"good_for": timedelta()}, "expires"),
        ({"name": ""}, "name"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    conn: BoundedConnection, words: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        keys.add_key(conn, **{"name": "Anna", **words})  # type: ignore[arg-type]
    assert [each.field for each in refused.value.errors] == [field]


def test_a_session_of_one_process_counts_in_another_at_once(
    conn: BoundedConnection, make_authenticator: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, key = keys.add_key(conn, "Anna", role=STATION)
    one, other = make_authenticator(), make_authenticator()
    assert other.authenticate(None) == ANONYMOUS
    monkeypatch.setattr(auth_cache, "_MAX_AGE_S", 60.0)

    cookie = log_in(one, key)

    found = other.authenticate(cookie)
    id = hashlib.sha256(cookie.encode()).hexdigest()
    assert found == Principal(STATION, name="Anna", key_id=kept.id, session=id)
    (listed,) = storage.list_sessions(conn)
    assert (listed.id, listed.client, listed.user_agent) == (id, "203.0.113.7", "Browser1.0")
    assert cookie not in str(conn.execute("select s::text from staff_session s").fetchall())


def test_logging_out_ends_the_session_in_every_process(
    conn: BoundedConnection, make_authenticator: Open
) -> None:
    _, key = keys.add_key(conn, "Anna")
    one, other = make_authenticator(), make_authenticator()
    cookie = log_in(one, key)
    assert other.authenticate(cookie).has_key

    one.log_out(cookie, source="203.0.113.7")

    assert one.authenticate(cookie) == other.authenticate(cookie) == ANONYMOUS
    one.log_out(cookie, source="203.0.113.7")  # a second time changes nothing


def test_a_session_of_a_key_of_the_environment_ends_with_that_key(
    conn: BoundedConnection, make_authenticator: Open
) -> None:
    digest = keys.digest("a sound key of the environment")
    cookie = log_in(make_authenticator(digest), "a sound key of the environment")

    found = make_authenticator(digest).authenticate(cookie)
    assert (found.name, found.role) == ("environment", MANAGER)
    assert found.key_id == keys.environment_id(digest) and digest.hex()[:8] not in found.key_id
    assert make_authenticator(keys.digest("another key")).authenticate(cookie) == ANONYMOUS


def test_a_used_session_continues_and_an_unused_one_ends(
    conn: BoundedConnection, make_authenticator: Open
) -> None:
    _, key = keys.add_key(conn, "Anna")
    at = make_authenticator(idle_seconds=3600)
    used, unused = log_in(at, key), log_in(at, key)
    ids = [sessions.session_id(each) for each in (used, unused)]
    left = "select extract(epoch from expires_at - now())::integer / 60 from staff_session"
    conn.execute("update staff_session set expires_at = expires_at - interval '40 minutes'")

    caller = at.authenticate(used)
    recorder = sessions.UseRecorder(at._connection, timedelta(hours=1))
    recorder._keys, recorder._sessions = {str(caller.key_id)}, {str(caller.session)}
    recorder.write()

    rows = [conn.execute(f"{left} where id = %s", [id]).fetchone() for id in ids]
    assert rows[0] is not None and rows[0][0] >= 59
    assert rows[1] is not None and rows[1][0] <= 20
    (listed,) = storage.list_keys(conn)
    assert listed.last_used_at is not None
    conn.execute(
        "update staff_session set expires_at = now() - interval '1 s' where id = %s", [ids[1]]
    )
    assert at.authenticate(unused) == ANONYMOUS


def test_no_session_is_older_than_a_week(conn: BoundedConnection, make_authenticator: Open) -> None:
    _, key = keys.add_key(conn, "Anna")
    at = make_authenticator(idle_seconds=3 * 86_400)
    cookie = log_in(at, key)
    conn.execute("update staff_session set created_at = now() - interval '6 days'")
    recorder = sessions.UseRecorder(at._connection, timedelta(days=3))
    recorder._sessions = {sessions.session_id(cookie)}
    recorder.write()

    (listed,) = storage.list_sessions(conn)
    assert listed.expires_at - listed.created_at == sessions.MAX_AGE


def test_use_is_written_once_a_while_and_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[set[str]] = []
    recorder = sessions.UseRecorder(lambda: pytest.fail("no connection"), timedelta(hours=2))
    done = []

    class Thread:
        def __init__(self, target: Callable[[], None], **_: object) -> None:
            done.append(target)

        def start(self) -> None:
            written.append(set(recorder._keys))

    monkeypatch.setattr(sessions.threading, "Thread", Thread)
    for key in ("a", "b", "c"):
        recorder.record(key, None)
    assert (len(done), written, recorder._keys) == (1, [{"a"}], {"a", "b", "c"})


def test_a_session_is_ended_by_the_beginning_of_its_id(
    conn: BoundedConnection, make_authenticator: Open
) -> None:
    _, key = keys.add_key(conn, "Anna")
    at = make_authenticator()
    cookies = [log_in(at, key) for _ in range(3)]
    id = sessions.session_id(cookies[0])

    sessions.end_session(conn, id[: sessions.SHORT_ID])
    assert [at.authenticate(each).has_key for each in cookies] == [False, True, True]
    for none in (id, "", "zz"):
        with pytest.raises(SessionNotFound):
            sessions.end_session(conn, none)
    assert sessions.end_all_sessions(conn) == 2
    assert not any(at.authenticate(each).has_key for each in cookies)


def test_a_key_has_no_more_sessions_than_it_may(
    conn: BoundedConnection, make_authenticator: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pizza.auth.storage.MAX_PER_KEY", 3)
    _, key = keys.add_key(conn, "Anna")
    at = make_authenticator()
    cookies = [log_in(at, key) for _ in range(5)]
    assert [at.authenticate(each).has_key for each in cookies] == [False, False, True, True, True]


# --- webhooks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("end", "why"), [("revoke", "was revoked"), ("expire", "has expired")])
def test_a_webhook_is_disabled_with_its_key(conn: BoundedConnection, end: str, why: str) -> None:
    kept, _ = keys.add_key(conn, "Anna")
    other, _ = keys.add_key(conn, "Bert")
    mine, theirs, houses = (
        webhooks.add_webhook(conn, URL, actor=Actor(name, MANAGER, key_id))[0].id
        for name, key_id in (
            ("Anna", kept.id),
            ("Bert", other.id),
            ("environment", "env-00000000"),
        )
    )
    delivery = create_delivery(conn, mine, uuid4(), type="webhook.test", number=None, body="{}")

    if end == "revoke":
        keys.revoke_key(conn, kept.id)
    else:
        conn.execute(PAST, [kept.id])
        # Nothing is delivered from that moment on, before the periodic task has come.
        assert webhook_storage.list_subscribed(conn, "webhook.test") == [theirs, houses]
        due = webhook_storage.lock_delivery(conn, delivery, delivery)
        assert due is not None and due.disabled
        webhook_storage.unlock_webhook(conn, mine)
        keys.disable_void_webhooks(conn)

    found = {each.id: each for each in webhook_storage.list_webhooks(conn)}
    assert found[mine].disabled_reason == f"its key Anna ({kept.id}) {why}"
    assert found[theirs].disabled_at is None and found[houses].disabled_at is None
    assert webhook_storage.list_subscribed(conn, "webhook.test") == [theirs, houses]

    webhooks.change_webhook(
        conn, str(mine), WebhookPatch(enabled=True), actor=Actor("Bert", MANAGER, other.id)
    )
    assert webhook_storage.list_subscribed(conn, "webhook.test") == [mine, theirs, houses]


def test_a_monitor_key_is_no_staff(conn: BoundedConnection, make_authenticator: Open) -> None:
    _, key = keys.add_key(conn, "Prometheus", role=MONITOR)
    caller = make_authenticator().authenticate(key)
    assert caller.has_key and not caller.is_staff and not caller.may_see_order("ORD_20241216_001")
