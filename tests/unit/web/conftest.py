"""The application with fakes: no database, and a service that answers as the test says."""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from types import SimpleNamespace
from uuid import NAMESPACE_OID, uuid5

import pytest

from pizza.auth.storage import ActiveSession
from pizza.config.settings import Settings
from pizza.database.migrate import scripts
from pizza.domain.errors import OrderNotFound
from pizza.domain.order import OrderStatus, PlacedOrder, StatusChange
from pizza.kitchen.worker_storage import WorkerStatus
from pizza.web.api import orders, workers
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies

NOON = datetime(2024, 12, 16, 12, 0, 0, 123456, tzinfo=UTC)
NUMBER = "ORD_20241216_001"


SECRET = b"a secret of the house"


def order_id(number):
    """The id of the order with this number."""
    return uuid5(NAMESPACE_OID, number)


class _Nothing:
    def __init__(self, row=None):
        self._row = row

    def fetchall(self):
        return []

    def fetchone(self):
        return self._row


class _FakeCursor(nullcontext):
    def __init__(self, execute):
        super().__init__(self)
        self.execute = execute


@dataclass
class FakeRestaurant:
    """Stands in for pool and services; `failure` is raised by whatever is called next."""

    failure: Exception | None = None
    relay: str = "leading"
    broker: str | None = "ok"
    placed: list = field(default_factory=list)
    keys: list = field(default_factory=list)
    roles: dict = field(default_factory=dict)
    names: dict = field(default_factory=dict)
    sessions: dict = field(default_factory=dict)
    audit: list = field(default_factory=list)

    @contextmanager
    def connection(self, timeout=1.0):
        yield SimpleNamespace(
            execute=self._execute,
            transaction=nullcontext,
            # Rows as dataclasses: their statements return instances below.
            cursor=lambda row_factory: _FakeCursor(self._execute),
        )

    def _execute(self, sql, values=None):
        self._fail()
        if "select id from orders" in sql:
            # What pizza.auth.storage.find_order_id asks for.
            return _Nothing((order_id(values["number"]),))
        # What pizza.auth.storage.load_auth_state asks for.
        keys = [
            [digest[:8], self.names.get(key, "Anna"), self.roles.get(key, "manager"), digest, None]
            for key in self.keys
            for digest in (sha256(key.encode()).hexdigest(),)
        ]
        auth_state = (SECRET, bool(self.keys), keys, [*map(list, self.sessions.values())])
        if "insert into staff_session" in sql:
            self.sessions[values["id"]] = (values["id"], values["key"], 7200.0)
            return _Nothing()
        if sql.startswith("delete from staff_session where id = %(id)s"):
            return _Nothing(self.sessions.pop(values["id"], None))
        if "from staff_session where id = " in sql:
            found = self.sessions.get(values["id"])
            return _Nothing(ActiveSession(*found) if found and found[2] > 0 else None)
        if "insert into audit_log" in sql:
            self.audit.append(values)
        if "transaction_read_only" in sql:
            # What pizza.operations.health_storage.check_readiness asks for.
            applied = [f"{script.name} {script.checksum}" for script in scripts()]
            return _Nothing((False, applied, False, 1))
        if "broker_state" in sql:
            # What pizza.operations.health_storage.broker_state asks for.
            return _Nothing(None if self.broker is None else (self.broker,))
        return _Nothing(auth_state if "signing_secret" in sql else None)

    def _fail(self):
        if self.failure is not None:
            raise self.failure

    def place_order(self, conn, draft, **options):
        self._fail()
        self.placed.append((draft, options))
        return PlacedOrder(
            NUMBER, order_id(NUMBER), "received", draft.total, 5, "repeat customer",
            draft.order_type, draft.customer_name, NOON, None,
        )  # fmt: skip

    def order_status(self, conn, number):
        self._fail()
        if number != NUMBER:
            raise OrderNotFound(number)
        return OrderStatus(NUMBER, "cooking", NOON, NOON, "chef_mario", "takeout", 5, None, 2)

    def order_history(self, conn, number):
        self._fail()
        if number != NUMBER:
            raise OrderNotFound(number)
        return [StatusChange("received", NOON, "order-service", "priority 1")]

    def list_workers(self, conn, *, name=None):
        self._fail()
        return [WorkerStatus("chef_mario", "cook", "online", 5, NOON, tags=["pizza"],
                             measured_orders=2, avg_cooking_seconds=10.00449)]  # fmt: skip


@pytest.fixture
def restaurant(monkeypatch):
    fake = FakeRestaurant()
    monkeypatch.setattr("pizza.orders.orders.place_order", fake.place_order)
    monkeypatch.setattr(orders.service, "order_status", fake.order_status)
    monkeypatch.setattr(orders.service, "order_history", fake.order_history)
    monkeypatch.setattr(workers.service, "list_workers", fake.list_workers)
    return fake


@pytest.fixture
def client(restaurant):
    return create_app(Settings(), Dependencies(restaurant, lambda: restaurant.relay)).test_client()
