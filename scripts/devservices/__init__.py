"""Private PostgreSQL and RabbitMQ servers for demo, development, benchmarks and tests.

Put `scripts/` on the path, then:

    from devservices import Postgres, RabbitMQ, Servers

    with Servers(folder) as servers:      # both at once, about five seconds
        servers.postgres.url, servers.rabbitmq.url
        servers.rabbitmq.kill9(); servers.rabbitmq.start()

Both have start, stop, kill9, restart, pause, resume, wipe, `url`, `address`, and one port for life.
Whatever way the process that started them ends, kill -9 included, they end with it.
"""

from .chromium_install import Chromium
from .chromium_install import find_or_fetch as find_or_fetch_chromium
from .ports import claim, free_port
from .postgres import Postgres
from .process import GuardedProcess, ProcessFailed
from .proxy import Proxy
from .rabbitmq import RabbitMQ
from .rabbitmq_4 import find_or_fetch as find_or_fetch_rabbitmq_4
from .rabbitmq_install import find_or_fetch
from .servers import Servers

__all__ = [
    "Chromium",
    "GuardedProcess",
    "Postgres",
    "ProcessFailed",
    "Proxy",
    "RabbitMQ",
    "Servers",
    "claim",
    "find_or_fetch",
    "find_or_fetch_chromium",
    "find_or_fetch_rabbitmq_4",
    "free_port",
]
