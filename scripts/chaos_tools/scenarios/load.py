"""Many customers, and clients that hang up."""

import socket
import struct
import time
from contextlib import suppress
from random import Random

from chaos_tools.cluster import ChaosCluster
from chaos_tools.scenario import FULL_SECONDS, injection_count, scenario
from chaos_tools.workload.external_messages import order

ORDERS = 1200
FEW = 40
HANG_UPS = 800
WHOLE = 0.25  # of the clients have sent everything before
_NO_LINGER = struct.pack("ii", 1, 0)  # close() then sends a reset instead of a farewell
_LONGEST = len("ORD_20261125_999")
_SKIP = """
select setval('order_number', greatest((select max(first) from order_day) + 990, last_value))
from order_number
"""


@scenario(f"{ORDERS:,} orders in a day: numbers grow to four digits")
def busy_day(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """More orders than the kitchen cooks in a minute; a short run begins at number 990."""
    count = ORDERS
    if seconds < FULL_SECONDS:
        count = FEW
        while not cluster.rows("select from order_day"):
            time.sleep(0.1)
        cluster.value(_SKIP)
    cluster.generator.burst(count)
    for number in list(cluster.generator.accepted):
        if len(number) > _LONGEST:
            cluster.report.record_attempt(True)
    if not cluster.report.hits:
        cluster.report.fail("no order has a number of four digits")


@scenario(f"{HANG_UPS} clients hang up in the middle of a request")
def hang_ups(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """At any byte of it, or behind the last one, politely or not."""
    count = injection_count(HANG_UPS, seconds)
    for number in range(count):
        request = order_of(f"Hasty guest {number}")
        whole = random.random() < WHOLE
        said = request if whole else request[: random.randrange(len(request))]
        with suppress(OSError), socket.create_connection(("127.0.0.1", cluster.port), 5) as line:
            if random.random() < 0.5:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            line.sendall(said)
            time.sleep(random.choice((0.0, 0.0, 0.002)))
            cluster.report.record_attempt(True)
        time.sleep(seconds / count / 2)


def order_of(guest: str) -> bytes:
    """A complete request, as it goes over the proxy."""
    body = order(guest)
    head = "POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
