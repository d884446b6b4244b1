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
    found = {"service": order_service(port, "--share-port=yes")}
    found |= {name: cook(name) for name in (f"chef_{number}" for number in range(1, COOKS + 1))}
    for name in STATION_NAMES:
        flags = [f"--station={name}", f"--station-time={STATION_SECONDS}"]
        found[name] = [*worker(f"{name}_1"), *flags]
    found["tracking"] = tracking()
    found["subscriber"] = program("notification-subscriber", f"--name={SUBSCRIBER}")
    return found


def program(mode: str, *flags: str) -> list[str]:
    """A process of the restaurant."""
    return python("pizza", f"--mode={mode}", *flags)


def cook(name: str, seconds: float = COOKING_SECONDS, heartbeat: int = 2) -> list[str]:
    """A cook. seconds: for a takeout order; heartbeat: of the broker."""
    return [*worker(name, heartbeat), f"--cooking-time={seconds}"]


def order_service(port: int, flag: str = "--web-workers=1") -> list[str]:
    """An order service without a cap, by default a small one."""
    return program("order-service", f"--port={port}", "--max-concurrent=0", flag)


def tracking() -> list[str]:
    """A tracking service."""
    return program("tracking-service")


def worker(name: str, heartbeat: int = 2) -> list[str]:
    """What all workers share."""
    times = [f"--lease={LEASE_SECONDS}", f"--heartbeat={heartbeat}", "--grace=4"]
    return program("kitchen-worker", f"--worker-name={name}", *times)
