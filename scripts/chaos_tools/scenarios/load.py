"""Guests in numbers, and guests who do not stay."""

import json
import socket
import struct
import time
from contextlib import suppress
from random import Random

from chaos_tools.cluster import World
from chaos_tools.scenario import FULL_SECONDS, blows, storm

ORDERS = 1200
FEW = 40
HANG_UPS = 800
WHOLE = 0.25  # of those who hang up have said everything before
_NO_LINGER = struct.pack("ii", 1, 0)  # close() then sends a reset instead of a farewell
_LONGEST = len("ORD_20261125_999")
_SKIP = """
select setval('order_number', greatest((select max(first) from order_day) + 990, last_value))
from order_number
"""


@storm("busy-day", f"{ORDERS:,} orders in a day: numbers grow to four digits")
def busy_day(world: World, random: Random, seconds: float) -> None:
    """As many as the kitchen can only cook in a minute; a short storm begins at number 990."""
    assert world.guests is not None
    count = ORDERS
    if seconds < FULL_SECONDS:
        count = FEW
        while not world.rows("select from order_day"):
            time.sleep(0.1)
        world.value(_SKIP)
    world.guests.crowd(count)
    for number in list(world.guests.accepted):
        if len(number) > _LONGEST:
            world.journal.note_hit(True)
    if not world.journal.hits:
        world.journal.complain("no order has a number of four digits")


@storm("hang-ups", f"{HANG_UPS} clients hang up in the middle of a request")
def hang_ups(world: World, random: Random, seconds: float) -> None:
    """At any byte of it, or behind the last one, politely or not."""
    count = blows(HANG_UPS, seconds)
    for number in range(count):
        request = order_of(f"Hasty guest {number}")
        whole = random.random() < WHOLE
        said = request if whole else request[: random.randrange(len(request))]
        with suppress(OSError), socket.create_connection(("127.0.0.1", world.port), 5) as line:
            if random.random() < 0.5:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            line.sendall(said)
            time.sleep(random.choice((0.0, 0.0, 0.002)))
            world.journal.note_hit(True)
        time.sleep(seconds / count / 2)


def order_of(guest: str) -> bytes:
    """A complete request, as it goes over the wire."""
    items = [{"name": "Margherita", "quantity": 1, "price": 9.5}]
    body = json.dumps({"customer_name": guest, "order_type": "takeout", "items": items})
    lines = (
        "POST /orders HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json",
        f"Content-Length: {len(body)}", "Connection: close", "", body,
    )  # fmt: skip
    return "\r\n".join(lines).encode()
