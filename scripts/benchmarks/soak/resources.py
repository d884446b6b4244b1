"""What a running restaurant holds: memory, sessions, connections, messages, tables."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

from benchmarks.environment import BenchCluster
from devservices import wait_until
from devservices.proc import anonymous_bytes
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.topology import TOPOLOGY, subscriber_queue

# Rows of these live for seconds, or are changed again and again: their size must not follow the
# number of orders. All other tables are history, and grow by so many bytes an order.
HOT_TABLES = ("message", "workers", "kitchen_capacity", "cooking_time_avg", "relay")

_QUEUES = [queue.name for queue in (*TOPOLOGY.queues, subscriber_queue("soak"))]
_SESSIONS = """
select count(*) from pg_stat_activity where datname = current_database()
                                        and backend_type = 'client backend'
"""
_OUTBOX = "select state::text, count(*) from message group by 1"
_TABLES = """
select relname, pg_table_size(relid), pg_indexes_size(relid), n_live_tup, n_dead_tup,
       autovacuum_count
from pg_stat_user_tables
where schemaname = 'public' and relname not like 'soak%%' and pg_table_size(relid) > 0
"""
_VACUUMING = "select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'"
_VACUUM_SECONDS = 30.0


@dataclass(frozen=True)
class TableSize:
    """Bytes of a table and of its indexes; rows alive and dead as the server counts them."""

    heap: int
    indexes: int
    live: int
    dead: int
    vacuumed: int

    @property
    def all(self) -> int:
        """Bytes together."""
        return self.heap + self.indexes


@dataclass(frozen=True)
class SoakSample:
    """One look. placed: orders so far; memory: MB by process; the broker's part only when quiet."""

    placed: int
    seconds: float
    memory: Mapping[str, float]
    sessions: int
    outbox: Mapping[str, int]
    tables: Mapping[str, TableSize] = field(default_factory=dict)
    connections: int | None = None
    channels: int | None = None
    ready: int | None = None
    unacked: int | None = None


class SoakSampler:
    """Measures the processes, the database and the broker of a cluster."""

    def __init__(self, cluster: BenchCluster) -> None:
        self._cluster = cluster
        self._began = time.monotonic()

    def sample(self, placed: int, *, broker: bool = False) -> SoakSample:
        """Look once. With `broker` also at its connections and messages, which takes seconds."""
        conn = self._cluster.conn
        tables = {row[0]: TableSize(*row[1:]) for row in conn.execute(_TABLES.encode(), {})}
        return SoakSample(
            placed=placed,
            seconds=time.monotonic() - self._began,
            memory=self._memory(),
            sessions=int(self._cluster.value(_SESSIONS)),
            outbox=dict(conn.execute(_OUTBOX.encode()).fetchall()),
            tables=tables,
            **(self._broker() if broker else {}),
        )

    def wait_for_vacuum(self) -> None:
        """Wait, not too long, until no table is being vacuumed."""
        wait_until(lambda: not self._cluster.value(_VACUUMING), _VACUUM_SECONDS, 0.2)

    def queues_empty(self) -> bool:
        """Whether all that was published has been taken from every queue."""
        with closing(BrokerConnection(self._cluster.settings.broker_url, name="soak")) as broker:
            return not any(broker.message_count(name) for name in _QUEUES)

    def _memory(self) -> dict[str, float]:
        return {
            name: round(sum(map(anonymous_bytes, pids)) / 2**20, 1)
            for name, pids in self._cluster.groups().items()
        }

    def _broker(self) -> dict[str, int]:
        channels = self._listed("list_connections", "channels")
        counts = self._listed("list_queues", "messages_ready", "messages_unacknowledged")
        return {
            "connections": len(channels),
            "channels": sum(count for (count,) in channels),
            "ready": sum(ready for ready, _ in counts),
            "unacked": sum(unacked for _, unacked in counts),
        }

    def _listed(self, *command: str) -> list[tuple[int, ...]]:
        """What rabbitmqctl lists, without the headings."""
        rows = map(str.split, self._cluster.servers.rabbitmq.ctl(*command).splitlines())
        return [tuple(map(int, row)) for row in rows if row and row[0].isdigit()]
