"""Resources of the processes: memory, database sessions, connections to the broker."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaos_tools.cluster import ChaosCluster
from devservices import wait_until
from devservices.proc import resident_bytes
from devservices.reaper import descendants

# A process grows until it has run all its code paths and filled its pools; a leak in half a minute
# of load exceeds that.
MEMORY_FACTOR = 1.3
MEMORY_MORE = 16 * 2**20
# Short-lived connections: a query of the worker registry, a check of a pool.
CONNECTIONS_MORE = 2
TIMEOUT_SECONDS = 20.0
POLL_SECONDS = 0.5
STEADY_POLLS = 4

_SESSIONS = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


@dataclass(frozen=True)
class ResourceSample:
    """memory: bytes of each process with its children; sessions: database; links: broker."""

    memory: dict[str, int]
    sessions: int
    links: int


def sample(cluster: ChaosCluster) -> ResourceSample:
    """The resources now."""
    ports = {cluster.servers.rabbitmq.port}
    ports |= {int(proxy.address.rpartition(":")[2]) for proxy in cluster.proxies[1:]}
    return ResourceSample(
        {name: resident_bytes(managed.process.pid) for name, managed in cluster.processes.items()},
        int(cluster.value(_SESSIONS)),
        # Counted at their near ends. Behind proxies each connection exists twice.
        sum(remote in ports for _, remote, _ in established()) // len(ports),
    )


def sample_when_steady(cluster: ChaosCluster) -> ResourceSample:
    """The resources once the number of connections is steady, at most TIMEOUT_SECONDS from now."""
    found: list[ResourceSample] = []

    def is_steady() -> bool:
        found.append(sample(cluster))
        last = {(each.sessions, each.links) for each in found[-STEADY_POLLS:]}
        return len(found) >= STEADY_POLLS and len(last) == 1

    wait_until(is_steady, TIMEOUT_SECONDS, POLL_SECONDS)
    return found[-1]


def grown(cluster: ChaosCluster, before: ResourceSample) -> list[str]:
    """What has grown beyond the tolerance, and stays there for TIMEOUT_SECONDS."""
    wait_until(lambda: not growth(before, sample(cluster)), TIMEOUT_SECONDS, POLL_SECONDS)
    return growth(before, sample(cluster))


def growth(before: ResourceSample, after: ResourceSample) -> list[str]:
    """What has grown beyond the tolerance, in words."""
    found = [
        f"{name}: {before.memory[name] >> 20} to {size >> 20} MB"
        for name, size in after.memory.items()
        if size > before.memory.get(name, size) * MEMORY_FACTOR + MEMORY_MORE
    ]
    if after.sessions > before.sessions + CONNECTIONS_MORE:
        found.append(f"database sessions: {before.sessions} to {after.sessions}")
    if after.links > before.links + CONNECTIONS_MORE:
        found.append(f"broker connections: {before.links} to {after.links}")
    return found


def established() -> list[tuple[int, int, int]]:
    """The established TCP connections of this machine: local port, remote port, inode."""
    found = []
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if fields[3] == "01":
            local, remote = (int(end.rpartition(":")[2], 16) for end in fields[1:3])
            found.append((local, remote, int(fields[9])))
    return found


def connection_owner(cluster: ChaosCluster, port: int) -> tuple[str, int] | None:
    """Name and process id of the process that has the connection from this local port."""
    inodes = {f"socket:[{inode}]" for local, _, inode in established() if local == port}
    for name, managed in list(cluster.processes.items()):
        for pid in (managed.process.pid, *descendants(managed.process.pid)):
            with suppress(OSError):
                for handle in Path(f"/proc/{pid}/fd").iterdir():
                    with suppress(OSError):
                        if str(handle.readlink()) in inodes:
                            return name, pid
    return None
