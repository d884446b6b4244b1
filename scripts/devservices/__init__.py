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
from .pgbouncer import PgBouncer
from .ports import claim, free_port
from .postgres import Postgres
from .postgres_install import find_or_fetch_debian_postgres, find_or_fetch_postgres
from .process import GuardedProcess, ProcessFailed
from .proxy import Proxy
from .rabbitmq import RabbitMQ
from .rabbitmq_4 import find_or_fetch as find_or_fetch_rabbitmq_4
from .rabbitmq_install import find_or_fetch
from .servers import Servers
from .web_proxies_install import WebProxies
from .web_proxies_install import find_or_fetch as find_or_fetch_web_proxies

__all__ = [
    "Chromium",
    "GuardedProcess",
    "PgBouncer",
    "Postgres",
    "ProcessFailed",
    "Proxy",
    "RabbitMQ",
    "Servers",
    "WebProxies",
    "claim",
    "find_or_fetch",
    "find_or_fetch_chromium",
    "find_or_fetch_debian_postgres",
    "find_or_fetch_postgres",
    "find_or_fetch_rabbitmq_4",
    "find_or_fetch_web_proxies",
    "free_port",
]
