"""Private PostgreSQL and RabbitMQ servers for demo, development, benchmarks and tests.

Put `scripts/` on the path, then:

    from devservices import Postgres, RabbitMQ, Servers

    with Servers(folder) as servers:      # both at once, about five seconds
        servers.postgres.url, servers.rabbitmq.url
        servers.rabbitmq.kill9(); servers.rabbitmq.start()

They end with the process that started them, also after its kill -9.
"""

from devservices.install.chromium import Chromium
from devservices.install.chromium import find_or_fetch as find_or_fetch_chromium
from devservices.install.postgres import find_or_fetch_debian_postgres, find_or_fetch_postgres
from devservices.install.rabbitmq import find_or_fetch
from devservices.install.rabbitmq_4 import find_or_fetch as find_or_fetch_rabbitmq_4
from devservices.install.web_proxies import WebProxies
from devservices.install.web_proxies import find_or_fetch as find_or_fetch_web_proxies
from devservices.pgbouncer import PgBouncer
from devservices.ports import claim, free_port, listens
from devservices.postgres import Postgres
from devservices.process import GuardedProcess, ProcessFailed
from devservices.proxy import Proxy
from devservices.rabbitmq import RabbitMQ
from devservices.servers import Servers
from devservices.waiting import wait_until

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
    "listens",
    "wait_until",
]
