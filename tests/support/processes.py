"""Looks at other processes through /proc. Each may end between two looks, which is no error."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def command_of(pid: int) -> str:
    """The command line of a process as one text; empty before its exec and at its end."""
    with suppress(OSError):
        return (
            Path(f"/proc/{pid}/cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode(errors="replace")
            .strip()
        )
    return ""


def is_alive(pid: int) -> bool:
    """Whether the process runs, or could; a zombie does not."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    return False


def kill(pid: int) -> bool:
    """kill -9. False: it had ended before."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False
