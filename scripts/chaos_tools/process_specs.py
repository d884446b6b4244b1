"""The processes of a full restaurant, with flags for short times."""

from pizza.domain.stations import STATION_NAMES

COOKS = 4
LEASE_SECONDS = 5
COOKING_SECONDS = 0.2
STATION_SECONDS = 0.03
SUBSCRIBER = "chaos"


def process_flags(port: int) -> dict[str, list[str]]:
    """The flags of each process, by its name."""
    service = ["--mode=order-service", f"--port={port}", "--share-port=yes", "--max-concurrent=0"]
    found = {"service": service}
    cooks = [f"chef_{number}" for number in range(1, COOKS + 1)]
    found |= {name: cook_flags(name) for name in cooks}
    for station in STATION_NAMES:
        more = [f"--station={station}", f"--station-time={STATION_SECONDS}"]
        found[station] = [*worker_flags(f"{station}_1"), *more]
    found["tracking"] = ["--mode=tracking-service"]
    found["subscriber"] = ["--mode=notification-subscriber", f"--name={SUBSCRIBER}"]
    return found


def cook_flags(name: str, seconds: float = COOKING_SECONDS, heartbeat: int = 2) -> list[str]:
    """The flags of a cook. seconds: for a takeout order; heartbeat: of the broker."""
    return [*worker_flags(name, heartbeat), f"--cooking-time={seconds}"]


def order_service_flags(port: int) -> list[str]:
    """The flags of an additional small order service."""
    return ["--mode=order-service", f"--port={port}", "--max-concurrent=0", "--web-workers=1"]


def worker_flags(name: str, heartbeat: int = 2) -> list[str]:
    """The flags that all workers share."""
    times = [f"--lease={LEASE_SECONDS}", f"--heartbeat={heartbeat}", "--grace=4"]
    return ["--mode=kitchen-worker", f"--worker-name={name}", *times]
