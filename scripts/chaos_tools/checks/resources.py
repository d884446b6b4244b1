"""What the processes hold: memory, database sessions, connections to the broker."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaos_tools.cluster import World
from devservices.reaper import descendants

# A process that has seen all its code paths and filled its pools is larger than one that has just
# begun; one that leaks in a storm of half a minute shows it by more.
MEMORY_FACTOR = 1.3
MEMORY_MORE = 16 * 2**20
# Connections that come and go: a look at the roster, a check of a pool.
CONNECTIONS_MORE = 2
PATIENCE_SECONDS = 20.0
LOOK_SECONDS = 0.5
STEADY_LOOKS = 3

_SESSIONS = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Vitals:
    """memory: bytes of each process with its children; sessions: of the database; links: to the
    broker."""

    memory: dict[str, int]
    sessions: int
    links: int


def take(world: World) -> Vitals:
    """How it is now."""
    ports = {world.servers.rabbitmq.port}
    ports |= {int(wire.address.rpartition(":")[2]) for wire in world.wires[1:]}
    return Vitals(
        {name: memory(member.process.pid) for name, member in world.members.items()},
        int(world.value(_SESSIONS)),
        # Behind proxies each connection is there twice.
        links(ports) // len(ports),
    )


def at_ease(world: World) -> Vitals:
    """How it is when everybody has made the connections that it keeps: they have not changed for a
    while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    found, same = take(world), 0
    while same < STEADY_LOOKS and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        last, found = found, take(world)
        alike = (last.sessions, last.links) == (found.sessions, found.links)
        same = same + 1 if alike else 0
    return found


def grown(world: World, before: Vitals) -> list[str]:
    """What has grown beyond the tolerance since, and does not go back within PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := compare(before, take(world))) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return found


def compare(before: Vitals, after: Vitals) -> list[str]:
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


def memory(pid: int) -> int:
    """Resident bytes of a process and all its descendants; 0 for one that has ended."""
    total = 0
    for each in (pid, *descendants(pid)):
        with suppress(OSError, IndexError):
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * _PAGE
    return total


def links(ports: set[int]) -> int:
    """Established connections to these local ports, counted at their near ends."""
    return sum(remote in ports for _, remote, _ in established())


def established() -> list[tuple[int, int, int]]:
    """The established TCP connections of this machine: local port, remote port, inode."""
    found = []
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if fields[3] == "01":
            local, remote = (int(end.rpartition(":")[2], 16) for end in fields[1:3])
            found.append((local, remote, int(fields[9])))
    return found


def owner(world: World, port: int) -> tuple[str, int] | None:
    """The member whose process has the connection from this local port, and that process's id."""
    inodes = {f"socket:[{inode}]" for local, _, inode in established() if local == port}
    for name, member in list(world.members.items()):
        for pid in (member.process.pid, *descendants(member.process.pid)):
            with suppress(OSError):
                for handle in Path(f"/proc/{pid}/fd").iterdir():
                    with suppress(OSError):
                        if str(handle.readlink()) in inodes:
                            return name, pid
    return None
