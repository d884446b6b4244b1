"""One storm from the opening of the restaurant to the verdict."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import kombu

from benchmarks.stage import empty_broker
from chaos_tools.checks import queries, resources
from chaos_tools.checks.report import DRAIN_SECONDS, Verdict, delivered, judge_times, read, undone
from chaos_tools.cluster import World
from chaos_tools.process_specs import SUBSCRIBER
from chaos_tools.scenario import Storm
from chaos_tools.workload.handover import Counter
from chaos_tools.workload.order_generator import RETRY_UNANSWERED, Clients
from devservices import Servers
from pizza.processes import setup
from pizza.taskqueue.topology import DEAD_LETTER_QUEUE
from pizza.topology import subscriber_queue
from supervisor.api_client import ApiError, Client
from terminal.progress import step

OPENING_SECONDS = 60.0
PATIENCE_SECONDS = 60.0  # so long may nothing at all be delivered or heard
LOOK_SECONDS = 0.3
DRAIN_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Weather:
    """How it storms: with which seed, how long, and how many orders a second come meanwhile.

    full: at the length that a storm has of its own.
    """

    seed: int = 1
    seconds: float = 30.0
    rate: float = 6.0
    calm: float = 3.0
    full: bool = False
    retry_unanswered: bool = RETRY_UNANSWERED

    def over(self, storm: Storm) -> "Weather":
        """The same, with what this storm makes of it."""
        seconds = self.seconds * storm.longer
        if self.full and storm.full_seconds is not None:
            seconds = storm.full_seconds
        return replace(self, seconds=seconds, rate=self.rate * storm.busier)


def weather(servers: Servers, folder: Path, storm: Storm, how: Weather) -> Verdict:
    """Have one storm, on servers that run; they run again afterwards."""
    how = how.over(storm)
    random = Random(f"{storm.name} {how.seed}")
    verdict = Verdict(storm.name, how.seed, how.seconds)
    with site(servers, folder / storm.name, storm) as world:
        clients = world.guests = Clients(world.port, random, how.rate, how.retry_unanswered)
        try:
            with step(f"{storm.name}: the restaurant opens"):
                open_doors(world, storm)
            clients.start()
            with Counter(world):
                with step(f"{storm.name}: {storm.sentence}"):
                    time.sleep(how.calm)
                    before = None if storm.late else resources.at_ease(world)
                    storm.run(world, random, how.seconds)
                    world.heal()
                    verdict.drained = drain(world)
                    time.sleep(max(0.0, how.calm - verdict.drained))
                with step(f"{storm.name}: all orders to their guests"):
                    clients.stop()
                    settle(world, clients)
                    verdict.grown = resources.grown(world, before) if before else []
        finally:
            clients.give_up()
        verdict.unanswered, verdict.failures = clients.unanswered, clients.failures
        read(world, clients.accepted, verdict, rate=how.rate)
        judge_times(verdict, storm, clients.answers)
    verdict.died, verdict.odd_lines = list(world.died), world.odd_lines()
    return verdict


@contextmanager
def site(servers: Servers, folder: Path, storm: Storm) -> Iterator[World]:
    """A restaurant on a fresh database and an empty broker; all of it is healed and closed."""
    name = f"storm_{storm.name.replace('-', '_')}_{time.time_ns()}"
    url = servers.postgres.create_database(name)
    setup.setup_db(url)
    queue = subscriber_queue(SUBSCRIBER)
    empty_broker(servers.rabbitmq.address, [queue.name, DEAD_LETTER_QUEUE])
    with kombu.Connection(servers.rabbitmq.url) as link:
        queue(link.channel()).declare()  # so that the subscriber hears all, whenever it starts
    world = World(servers, url, folder, wired=storm.wired)
    if storm.late:
        servers.postgres.stop()
        servers.rabbitmq.stop()
    try:
        yield world
    finally:
        world.heal()
        world.close()
        servers.postgres.drop_database(name)


def open_doors(world: World, storm: Storm) -> None:
    """Start everybody, and wait until they are at work, unless the servers are to come later."""
    world.open()
    if storm.late:
        return
    client = Client(world.port)
    deadline = time.monotonic() + OPENING_SECONDS
    workers = sum("--mode=kitchen-worker" in member.flags for member in world.members.values())
    online = "select count(*) from workers where status = 'online'"
    while world.value(online) < workers or not is_ready(client):
        if time.monotonic() > deadline:
            raise ApiError(f"The restaurant did not open; see {world.folder}.")
        time.sleep(LOOK_SECONDS)


def is_ready(client: Client) -> bool:
    """Whether the order service says so."""
    with suppress(ApiError):
        return bool(client.get("/readyz", OPENING_SECONDS)["status"] == "ready")
    return False


def drain(world: World) -> float:
    """Seconds from the last mend until all is sent that waited then; not much over the promise."""
    moment, began = world.journal.healed[-1], time.monotonic()
    while world.value(queries.UNSENT, moment=moment):
        if time.monotonic() - began > 2 * DRAIN_SECONDS:
            break
        time.sleep(DRAIN_LOOK_SECONDS)
    return time.monotonic() - began


def settle(world: World, clients: Clients) -> None:
    """Wait until nothing is left to do, nor to be heard; not longer, once nothing moves."""
    least, moved = -1, time.monotonic()
    while left := undone(world, clients.accepted):
        if left != least:
            least, moved = left, time.monotonic()
        if time.monotonic() - moved > PATIENCE_SECONDS:
            print(f"  {left} things are left to do, after {delivered(world)} orders delivered.")
            return
        time.sleep(LOOK_SECONDS)
