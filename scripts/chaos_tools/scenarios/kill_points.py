"""Kills at the worst moment: it is made to last, seen to be there, and only then comes the blow."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random

from chaos_tools import process_specs
from chaos_tools.checks import queries, resources
from chaos_tools.cluster import World
from chaos_tools.scenario import RESTART_SECONDS, blows, storm, turns
from devservices import Proxy, free_port
from supervisor.api_client import Client

KILLS = 100
VICTIMS = 3  # by turns: one comes up while another goes down
SHARE = 0.9  # of the blows has to hit, or the storm was none
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.01
PAUSE_SECONDS = 1.0

# Who publishes: by the table of leaders, or, in a release without it, by the relay's lock.
_HAS_LEADERS = "select to_regclass('leader') is not null"
_LEADER = """
select a.client_port, a.pid from leader l join pg_stat_activity a using (pid)
where l.role = 'publisher' and a.datname = current_database()
"""
_LEADER_BY_LOCK = """
select a.client_port, a.pid from pg_locks l join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = 7020001
  and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
"""
_AT_WORK = "select max(number) from orders where status = 'cooking' and processed_by = %(name)s"
_READY = """
select exists (select from orders o join order_status_log l on l.order_id = o.id
               where o.number = %(number)s and l.status = 'ready' and l.changed_by = %(name)s)
"""


@storm("commit-publish", f"kill -9 of an order service between commit and publish, {KILLS} times")
def commit_publish(world: World, random: Random, seconds: float) -> None:
    """The process that publishes stands still while an order is taken; then its service dies.

    At first that is the same process, later a cook's relay has taken over.
    """
    assert world.guests is not None
    kills = blows(KILLS, seconds)
    ports = {f"door_{number}": free_port() for number in range(1, min(VICTIMS, kills) + 1)}
    with world.extra({name: process_specs.door(port) for name, port in ports.items()}) as doors:
        for turn in range(kills):
            name = doors[turn % len(doors)]
            Client(ports[name]).get("/readyz", PATIENCE_SECONDS)
            with publishing_stopped(world):
                number = world.guests.order_at(ports[name])
                pending = world.value(queries.PENDING, number=number)
                world.kill(name)
            world.journal.note_hit(pending)
    see_that_it_hit(world)


@storm(
    "commit-ack", f"kill -9 of a cook between commit and acknowledgement, {KILLS} times",
    busier=1.5,
)  # fmt: skip
def commit_ack(world: World, random: Random, seconds: float) -> None:
    """What a cook says to the broker is held up from the middle of its work on; then it dies."""
    kills = blows(KILLS, seconds)
    names = [f"victim_{number}" for number in range(1, min(VICTIMS, kills) + 1)]
    wires = {name: Proxy(world.servers.rabbitmq.address) for name in names}
    for name, wire in wires.items():
        world.hire(name, process_specs.cook(name), RABBITMQ=wire.address)
    try:
        for turn in range(kills):
            name = names[turn % len(names)]
            committed = await_commit(world, name, wires[name])
            if committed:
                world.kill(name)
                wires[name].heal()  # what it held back is lost
            world.journal.note_hit(committed)
    finally:
        for name, wire in wires.items():
            world.dismiss(name)
            wire.close()
    see_that_it_hit(world)


@storm(
    "relay-killed",
    "kill -9 of whoever publishes, about every second",
    spares_guests=False,
    recovery=RESTART_SECONDS,
)
def relay_killed(world: World, random: Random, seconds: float) -> None:
    """The order service or any worker, as the database's lock tells."""
    for _ in turns(seconds, PAUSE_SECONDS):
        time.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)
        found = await_leader(world)
        if found is not None:
            world.kill(found[0])
        world.journal.note_hit(found is not None)
    see_that_it_hit(world)


def await_commit(world: World, name: str, wire: Proxy) -> bool:
    """Wait until a cook has an order ready whose acknowledgement is held up at the wire.

    The wire falls silent while the order is still cooking, so the acknowledgement, which comes
    after the commit, cannot have passed. False when no such moment came.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        number = world.value(_AT_WORK, name=name)
        if number is None:
            time.sleep(LOOK_SECONDS)
            continue
        wire.swallow(to_client=False)
        if world.value(_AT_WORK, name=name) == number:
            while time.monotonic() < deadline:
                if world.value(_READY, number=number, name=name):
                    return True
                time.sleep(LOOK_SECONDS)
        wire.pass_on()
    return False


@contextmanager
def publishing_stopped(world: World) -> Iterator[None]:
    """Have the process of the leading relay stand still in the block, without its children."""
    found = await_leader(world)
    pid = found[1] if found else 0
    with suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGCONT)


def await_leader(world: World) -> tuple[str, int] | None:
    """The member that publishes, and the process; None when nobody does for too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        session = leader_session(world)
        found = resources.owner(world, session[0]) if session else None
        if found is not None:
            return found
        time.sleep(LOOK_SECONDS)
    return None


def leader_session(world: World) -> tuple[int, int] | None:
    """The database session of the leading publisher: its client's port, and the server's process.

    None when nobody leads.
    """
    rows = world.rows(_LEADER if world.value(_HAS_LEADERS) else _LEADER_BY_LOCK)
    return (rows[0][0], rows[0][1]) if rows else None


def see_that_it_hit(world: World) -> None:
    """A storm that missed has shown nothing."""
    journal = world.journal
    if journal.hits < SHARE * journal.aimed:
        journal.complain(f"only {journal.hits} of {journal.aimed} blows hit their moment")
