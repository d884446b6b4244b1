"""Who works in a full restaurant, with flags for short times."""

from pizza.domain.stations import STATION_NAMES

COOKS = 4
LEASE_SECONDS = 5
COOKING_SECONDS = 0.2
STATION_SECONDS = 0.03
SUBSCRIBER = "storm"


def roster(port: int) -> dict[str, list[str]]:
    """Everybody, by name, with the flags of each."""
    service = ["--mode=order-service", f"--port={port}", "--share-port=yes", "--max-concurrent=0"]
    found = {"service": service}
    found |= {name: cook(name) for name in (f"chef_{number}" for number in range(1, COOKS + 1))}
    for station in STATION_NAMES:
        more = [f"--station={station}", f"--station-time={STATION_SECONDS}"]
        found[station] = [*worker(f"{station}_1"), *more]
    found["tracking"] = ["--mode=tracking-service"]
    found["subscriber"] = ["--mode=notification-subscriber", f"--name={SUBSCRIBER}"]
    return found


def cook(name: str, seconds: float = COOKING_SECONDS, heartbeat: int = 2) -> list[str]:
    """The flags of a cook; `seconds` is what a takeout takes, heartbeat the broker's."""
    return [*worker(name, heartbeat), f"--cooking-time={seconds}"]


def door(port: int) -> list[str]:
    """The flags of one more order service, a small one."""
    return ["--mode=order-service", f"--port={port}", "--max-concurrent=0", "--web-workers=1"]


def worker(name: str, heartbeat: int = 2) -> list[str]:
    """The flags that all workers share."""
    times = [f"--lease={LEASE_SECONDS}", f"--heartbeat={heartbeat}", "--grace=4"]
    return ["--mode=kitchen-worker", f"--worker-name={name}", *times]
