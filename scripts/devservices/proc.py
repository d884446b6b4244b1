"""Reads /proc. A process may end between two reads, which is no error."""

import os
from contextlib import suppress
from pathlib import Path

from devservices.reaper import descendants, stat_fields

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


def command_of(pid: int) -> str:
    """The command line of a process as one text; empty before its exec and at its end."""
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        return command.decode(errors="replace").strip()
    return ""


def is_alive(pid: int) -> bool:
    """Whether the process runs, or could; a zombie does not."""
    with suppress(OSError, IndexError):
        return stat_fields(pid)[0] != b"Z"
    return False


def cpu_seconds(root: int) -> float:
    """Processor time of a process, its living descendants, and its children that have ended."""
    total = 0
    for pid in (root, *descendants(root)):
        with suppress(OSError):
            # user, system, and the same of children that were waited for
            total += sum(map(int, stat_fields(pid)[11:15]))
    return total / TICKS


def resident_bytes(root: int) -> int:
    """Resident memory of a process and all its descendants; 0 for one that has ended."""
    total = 0
    for pid in (root, *descendants(root)):
        with suppress(OSError, IndexError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return total


def anonymous_bytes(root: int) -> int:
    """Memory that only a process and its descendants have: no shared buffers, no files.

    Resident memory counts the pages of shared buffers that a server's process has touched, and so
    grows until it has touched them all.
    """
    kilobytes = 0
    for pid in (root, *descendants(root)):
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            kilobytes += sum(int(x.split()[1]) for x in lines if x.startswith("RssAnon:"))
    return kilobytes * 1024
