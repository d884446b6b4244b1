"""The processes of a full restaurant, with short times: the command of each."""

from pizza.domain.stations import STATION_NAMES
from supervisor.process_group import python

COOKS = 4
LEASE_SECONDS = 5
COOKING_SECONDS = 0.2
STATION_SECONDS = 0.03
SUBSCRIBER = "chaos"


def process_commands(port: int) -> dict[str, list[str]]:
    """The command of each process, by its name."""
    service = ["--mode=order-service", f"--port={port}", "--share-port=yes", "--max-concurrent=0"]
    found = {"service": python("pizza", *service)}
    cooks = [f"chef_{number}" for number in range(1, COOKS + 1)]
    found |= {name: cook(name) for name in cooks}
    for station in STATION_NAMES:
        more = [f"--station={station}", f"--station-time={STATION_SECONDS}"]
        found[station] = [*worker(f"{station}_1"), *more]
    found["tracking"] = tracking()
    subscriber = ["--mode=notification-subscriber", f"--name={SUBSCRIBER}"]
    found["subscriber"] = python("pizza", *subscriber)
    return found


def cook(name: str, seconds: float = COOKING_SECONDS, heartbeat: int = 2) -> list[str]:
    """A cook. seconds: for a takeout order; heartbeat: of the broker."""
    return [*worker(name, heartbeat), f"--cooking-time={seconds}"]


def small_order_service(port: int) -> list[str]:
    """An additional order service."""
    flags = ["--mode=order-service", f"--port={port}", "--max-concurrent=0", "--web-workers=1"]
    return python("pizza", *flags)


def tracking() -> list[str]:
    """A tracking service."""
    return python("pizza", "--mode=tracking-service")


def worker(name: str, heartbeat: int = 2) -> list[str]:
    """What all workers share."""
    times = [f"--lease={LEASE_SECONDS}", f"--heartbeat={heartbeat}", "--grace=4"]
    return python("pizza", "--mode=kitchen-worker", f"--worker-name={name}", *times)
