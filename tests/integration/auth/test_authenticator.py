"""Keys, tokens and the limit of a client's orders, on the real tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from pizza.auth import auth_cache, keys, storage
from pizza.auth.authenticator import ANONYMOUS, AUTH_DISABLED, Authenticator, Principal
from pizza.auth.storage import ClientRetention
from pizza.database.connection import BoundedConnection, connect
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import (
    CapacityReached,
    ClientLimitReached,
    InvalidCredential,
    InvalidRequest,
    StaffKeyNotFound,
)
from pizza.domain.order import ClientQuota, IdempotencyKey, OrderDraft, OrderItem
from pizza.domain.roles import MANAGER
from pizza.orders import orders, set_capacity

NUMBER = "ORD_20241216_001"
DRAFT = OrderDraft("Jo", (OrderItem("Tea", 1, Decimal("2.00")),))


@pytest.fixture
def make_authenticator(
    db_url: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Authenticator]:
    """Makes authenticators of this database that read it each time."""
    monkeypatch.setattr(auth_cache, "_MAX_AGE_S", 0.0)

    @contextmanager
    def lend() -> Iterator[BoundedConnection]:
        with connect(db_url, name="doors") as own:
            yield own

    return lambda *digests: Authenticator(lend, digests)


def test_without_a_key_every_client_has_the_rights_of_staff(
    make_authenticator: Callable[..., Authenticator],
) -> None:
    assert not make_authenticator().auth_required()
    assert (
        make_authenticator().authenticate(None)
        == make_authenticator().authenticate("whatever")
        == AUTH_DISABLED
    )


def test_the_first_key_requires_authentication_and_each_key_is_accepted(
    conn: BoundedConnection, make_authenticator: Callable[..., Authenticator]
) -> None:
    at = make_authenticator()
    assert at.authenticate(None) == AUTH_DISABLED

    first, anna = keys.add_key(conn, "Anna's tablet")
    second, bert = keys.add_key(conn, "Bert")

    assert at.auth_required()
    assert at.authenticate(None) == ANONYMOUS
    assert at.authenticate(anna) == Principal(MANAGER, name="Anna's tablet", key_id=first.id)
    assert at.authenticate(bert) == Principal(MANAGER, name="Bert", key_id=second.id)
    with pytest.raises(InvalidCredential):
        at.authenticate(anna[:-1])


def test_a_revoked_key_is_refused_and_without_keys_authentication_is_still_required(
    conn: BoundedConnection, make_authenticator: Callable[..., Authenticator]
) -> None:
    kept, key = keys.add_key(conn, "Anna's tablet")
    at = make_authenticator()
    assert at.authenticate(key).role == MANAGER

    first = keys.revoke_key(conn, kept.id)
    # Its use is written by another thread, perhaps only now.
    assert keys.revoke_key(conn, kept.id).revoked_at == first.revoked_at

    with pytest.raises(InvalidCredential):
        at.authenticate(key)
    assert at.authenticate(None) == ANONYMOUS
    (listed,) = storage.list_keys(conn)
    assert (listed.name, listed.revoked_at) == ("Anna's tablet", first.revoked_at)


def test_a_key_is_kept_as_a_hash_and_has_enough_of_chance(conn: BoundedConnection) -> None:
    kept, key = keys.add_key(conn, "Anna")
    rows = conn.execute("select k::text, hash from staff_key k").fetchall()

    assert key.startswith(f"pizza_{kept.id}_")
    secret = key.rpartition("_")[2]
    assert len(bytes.fromhex(secret)) * 8 >= 128
    assert all(secret not in text and len(digest) == 32 for text, digest in rows)


def test_an_invalid_name_or_id_is_refused(conn: BoundedConnection) -> None:
    with pytest.raises(InvalidRequest, match="name must be printable"):
        keys.add_key(conn, "a\nb")
    with pytest.raises(StaffKeyNotFound):
        keys.revoke_key(conn, "nothing")


def test_a_token_is_valid_for_its_order_alone_and_only_in_its_installation(
    conn: BoundedConnection, make_authenticator: Callable[..., Authenticator]
) -> None:
    at = make_authenticator()
    at.warm_up()
    order, another = (orders.place_order(conn, DRAFT) for _ in range(2))
    token = at.tracking_token(order.number, order.id)
    other = at.tracking_token(another.number, another.id)
    keys.add_key(conn, "Anna")

    assert (
        at.authenticate(token)
        == at.authenticate_tracking_token(token)
        == Principal(number=order.number)
    )
    assert token.partition(".")[2] != other.partition(".")[2]
    assert len(bytes.fromhex(token.partition(".")[2])) * 8 >= 128
    assert (
        at.tracking_token(order.number, order.id)
        == token
        == make_authenticator().tracking_token(order.number, order.id)
    )
    with pytest.raises(InvalidCredential):
        at.authenticate_tracking_token(at.tracking_token(order.number, another.id))
    with pytest.raises(InvalidCredential):
        at.authenticate_tracking_token(at.tracking_token("ORD_20200101_001", order.id))

    conn.execute("update signing_secret set secret = sha256(secret)")
    for ask in (at.authenticate, at.authenticate_tracking_token):
        with pytest.raises(InvalidCredential):
            ask(token)


def test_a_client_has_so_many_places_and_no_more(conn: BoundedConnection) -> None:
    client = ClientQuota(b"one", 2)
    first, _ = (orders.place_order(conn, DRAFT, client=client) for _ in range(2))

    with pytest.raises(ClientLimitReached) as full:
        orders.place_order(conn, DRAFT, client=client)
    assert full.value.limit == 2
    assert orders.place_order(conn, DRAFT, client=ClientQuota(b"two", 2))
    assert orders.place_order(conn, DRAFT)

    conn.execute("update orders set status = 'ready' where number = %s", [first.number])
    assert orders.place_order(conn, DRAFT, client=client)


@pytest.mark.parametrize(("limit", "places"), [(5, 2), (8, 2), (2, 1), (1, 1)])
def test_a_client_has_a_quarter_of_the_places_that_the_restaurant_has_now(
    conn: BoundedConnection, limit: int, places: int
) -> None:
    client = ClientQuota(b"one", None)
    set_capacity(conn, limit)
    for _ in range(places):
        orders.place_order(conn, DRAFT, client=client)
    with pytest.raises(ClientLimitReached) as full:
        orders.place_order(conn, DRAFT, client=client)
    assert full.value.limit == places

    set_capacity(conn, 0)
    assert orders.place_order(conn, DRAFT, client=client)
    assert conn.execute("select count(*) from client_order").fetchone() == (places,)


def test_a_client_at_its_limit_gets_earlier_answers_again(
    conn: BoundedConnection,
) -> None:
    client, key = ClientQuota(b"one", 1), IdempotencyKey("k", b"d")
    first = orders.place_order(conn, DRAFT, client=client, key=key)

    again = orders.place_order(conn, DRAFT, client=client, key=key)
    assert replace(again, replayed=False, status=first.status) == first

    with pytest.raises(ClientLimitReached):
        orders.place_order(conn, DRAFT, client=client, key=IdempotencyKey("other", b"d"))


def test_racing_orders_of_one_client_get_exactly_its_places(db_url: str) -> None:
    def place(_: int) -> bool:
        with connect(db_url, name="guest") as own:
            try:
                orders.place_order(own, DRAFT, client=ClientQuota(b"one", 5))
            except ClientLimitReached:
                return False
        return True

    with ThreadPoolExecutor(8) as crowd:
        assert sum(crowd.map(place, range(16))) == 5


def taken(conn: BoundedConnection, clients: Iterable[ClientQuota]) -> int:
    """How many of these clients get a place, one order each."""
    count = 0
    for client in clients:
        with suppress(ClientLimitReached, CapacityReached):
            orders.place_order(conn, DRAFT, client=client)
            count += 1
    return count


def neighbours(network: int, count: int) -> list[ClientQuota]:
    return [ClientQuota(b"%d.%d" % (network, n), None, b"%d" % network) for n in range(count)]


def strangers(count: int) -> list[ClientQuota]:
    return [neighbours(network, 1)[0] for network in range(count)]


@pytest.mark.parametrize(("limit", "places"), [(20, 10), (9, 5)])
def test_the_clients_of_a_network_have_half_of_the_places(
    conn: BoundedConnection, limit: int, places: int
) -> None:
    set_capacity(conn, limit)
    assert taken(conn, neighbours(1, limit)) == places

    with pytest.raises(ClientLimitReached, match="From this network") as full:
        orders.place_order(conn, DRAFT, client=neighbours(1, 50)[-1])
    assert full.value.limit == places
    assert taken(conn, neighbours(2, 1)) == 1


def test_a_client_that_may_have_more_than_half_is_no_network_that_may_not(
    conn: BoundedConnection,
) -> None:
    set_capacity(conn, 10)
    assert taken(conn, [ClientQuota(b"one", 8, b"net")] * 10) == 8


@pytest.mark.parametrize(("limit", "places"), [(10, 9), (21, 18), (3, 2)])
def test_all_clients_together_leave_a_tenth_to_staff(
    conn: BoundedConnection, limit: int, places: int
) -> None:
    set_capacity(conn, limit)
    assert taken(conn, strangers(2 * limit)) == places

    with pytest.raises(CapacityReached) as full:
        orders.place_order(conn, DRAFT, client=ClientQuota(b"last", None, b"last"))
    assert full.value.limit == limit
    for _ in range(limit - places):
        orders.place_order(conn, DRAFT)
    with pytest.raises(CapacityReached):
        orders.place_order(conn, DRAFT)


@pytest.mark.parametrize(
    ("clients", "places"), [(strangers(40), 18), (neighbours(1, 40), 10)], ids=["all", "network"]
)
def test_racing_orders_get_exactly_the_places_there_are(
    db_url: str, clients: list[ClientQuota], places: int
) -> None:
    def place(some: list[ClientQuota]) -> int:
        with connect(db_url, name="guest") as own:
            return taken(own, some)

    with connect(db_url, name="test") as conn:
        set_capacity(conn, 20)
    with ThreadPoolExecutor(8) as crowd:
        assert sum(crowd.map(place, [clients[n::8] for n in range(8)])) == places


@pytest.mark.parametrize(("limit", "waits"), [(5000, False), (50, True)])
def test_only_near_the_reserve_clients_of_other_networks_wait_for_each_other(
    db_url: str, limit: int, waits: bool
) -> None:
    first, second = strangers(2)
    with connect(db_url, name="one") as one, connect(db_url, name="two") as two:
        set_capacity(one, limit)
        orders.place_order(one, DRAFT)  # the others of a day wait for the first
        with one.transaction():
            orders.place_order(one, DRAFT, client=first)
            if waits:
                with two.timeout_scope(1.0), pytest.raises(DatabaseUnavailable):
                    orders.place_order(two, DRAFT, client=second)
            else:
                orders.place_order(two, DRAFT, client=second)
            # An order of staff, or of this machine, waits in neither case.
            with connect(db_url, name="staff") as staff:
                orders.place_order(staff, DRAFT)


def test_reservations_of_clients_are_pruned_after_their_orders(conn: BoundedConnection) -> None:
    waits, through = (
        orders.place_order(conn, DRAFT, client=ClientQuota(b"one", 5)) for _ in range(2)
    )
    conn.execute("update orders set status = 'ready' where number = %s", [through.number])

    ClientRetention().run(conn)

    rows = conn.execute("select order_number from client_order").fetchall()
    assert rows == [(waits.number,)]
