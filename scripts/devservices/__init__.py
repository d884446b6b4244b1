"""Private PostgreSQL and RabbitMQ servers for demo, development, benchmarks and tests.

Put `scripts/` on the path, then:

    from devservices import Postgres, RabbitMQ, Servers

    with Servers(folder) as servers:      # both at once, about five seconds
        servers.postgres.url, servers.rabbitmq.url
        servers.rabbitmq.kill9(); servers.rabbitmq.start()

They end with the process that started them, also after its kill -9.
"""

from devservices.pgbouncer import PgBouncer as PgBouncer
from devservices.ports import claim as claim
from devservices.ports import free_port as free_port
from devservices.ports import listens as listens
from devservices.postgres import Postgres as Postgres
from devservices.process import GuardedProcess as GuardedProcess
from devservices.process import ProcessFailed as ProcessFailed
from devservices.proxy import Proxy as Proxy
from devservices.rabbitmq import RabbitMQ as RabbitMQ
from devservices.servers import Servers as Servers
from devservices.waiting import repeating as repeating
from devservices.waiting import wait_until as wait_until
