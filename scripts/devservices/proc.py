"""Reads /proc. A process may end between two reads, which is no error."""

import os
from collections.abc import Callable
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
    # user, system, and the same of children that were waited for
    return _total(root, lambda pid: sum(map(int, stat_fields(pid)[11:15]))) / TICKS


def resident_bytes(root: int) -> int:
    """Resident memory of a process and all its descendants; 0 for one that has ended."""
    return _total(root, lambda pid: _pages(pid)[1]) * PAGE


def anonymous_bytes(root: int) -> int:
    """Memory that only a process and its descendants have: no shared buffers, no files.

    Resident memory counts the pages of shared buffers that a server's process has touched, and so
    grows until it has touched them all.
    """
    return _total(root, lambda pid: _pages(pid)[1] - _pages(pid)[2]) * PAGE


def _total(root: int, figure: Callable[[int], int]) -> int:
    """The sum of a figure over a process and all its descendants."""
    total = 0
    for pid in (root, *descendants(root)):
        with suppress(OSError, IndexError):
            total += figure(pid)
    return total


def _pages(pid: int) -> list[int]:
    """Of a process: all its pages, the resident ones, and those that have a file or are shared …"""
    return list(map(int, Path(f"/proc/{pid}/statm").read_text().split()))
