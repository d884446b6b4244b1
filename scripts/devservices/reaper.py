"""Run one command so that nothing of it outlives the process that asked for it.

    python -I -S reaper.py REPORT_FD COMMAND [ARGUMENT...]

Standard input is a life line: the owner alone holds its other end, so the kernel closes it however
the owner ends, kill -9 included. The guard then kills the command with everything that descends
from it, and leaves. It does the same with what a command that ended by itself left behind: servers
like RabbitMQ start helpers in other sessions, and being a "subreaper" hands those orphans to
the guard instead of to init.

The other way round, the kernel kills the command when the guard is killed (PDEATHSIG). Where the
kernel knows neither of the two (macOS) the command's process group is what gets killed.

REPORT_FD takes one line: the command's process id, or "!" and why it could not be started.
Exit status: the command's own, 128 + N when signal N ended it.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
OWNER_CHECK_SECONDS = 0.5
SWEEP_SECONDS = 10.0


def set_process_control(option: int, value: int) -> None:
    """Call prctl(2) on Linux; elsewhere there is nothing like it and nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def send_signal(pid: int, number: int) -> bool:
    """Send a signal; False: the process had ended before, or belongs to another account."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
        return True
    return False


def stat_fields(pid: int | str) -> list[bytes]:
    """The fields of /proc/PID/stat behind the name: state, parent, group, session … OSError.

    The name, in parentheses, may contain anything: the fields begin behind the last one.
    """
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


def _all_processes() -> Iterator[tuple[int, int, int]]:
    """Process id, parent and session of each process; nothing where there is no /proc."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):  # ended meanwhile
            fields = stat_fields(entry.name)
            yield int(entry.name), int(fields[1]), int(fields[3])


def descendants(root: int) -> list[int]:
    """Process ids of everything below `root`, parents first; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for pid, parent, _ in _all_processes():
        children.setdefault(parent, []).append(pid)
    found = list(children.get(root, ()))
    for pid in found:  # grows while it is walked: breadth first
        found.extend(children.get(pid, ()))
    return found


def session(leader: int) -> list[int]:
    """Process ids of the session that `leader` began, without the leader."""
    return [pid for pid, _, leads in _all_processes() if leads == leader != pid]


def start(command: list[str]) -> "subprocess.Popen[bytes]":
    """Start the command in its own process group, to be killed with this process."""
    guard = os.getpid()

    def bind_to_guard() -> None:
        set_process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:  # the guard died before the line above
            os._exit(1)

    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=bind_to_guard,  # noqa: PLW1509 - this process never has a second thread
    )


class Guard:
    """Watches one command; `run` returns when it and all its descendants are gone."""

    def __init__(self, command: list[str]) -> None:
        """Start the command; OSError when that is impossible."""
        self.owner = os.getppid()
        self.status: int | None = None
        # Kept: when the object goes it collects a child that has ended, and its status with it.
        self._process = start(command)
        self.child = self._process.pid

    def run(self) -> int:
        """Wait for the end of command or owner, then sweep; gives the command's exit status."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in FORWARDED:
            signal.signal(number, self._forward)
        while self._reap() and self.status is None and self._owner_lives(wake_read):
            pass
        self._sweep()
        return 1 if self.status is None else os.waitstatus_to_exitcode(self.status)

    def _forward(self, number: int, _frame: object) -> None:
        if self.status is None:
            send_signal(self.child, number)

    def _owner_lives(self, wake: int) -> bool:
        """Sleep until something happens; False once the owner is gone.

        The parent's id is checked as well: a fork of the owner may keep the life line open.
        """
        ready, _, _ = select.select([0, wake], [], [], OWNER_CHECK_SECONDS)
        if wake in ready:
            os.read(wake, 512)
        return 0 not in ready and os.getppid() == self.owner

    def _reap(self) -> bool:
        """Collect every child that has ended; False when none is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self.child:
                    self.status = status
        except ChildProcessError:
            return False

    def _sweep(self) -> None:
        """Kill all that is left of the command, until nothing is."""
        deadline = time.monotonic() + SWEEP_SECONDS
        while time.monotonic() < deadline:
            for pid in (-self.child, *descendants(os.getpid())):  # its process group first
                send_signal(pid, signal.SIGKILL)
            if not self._reap():
                return
            time.sleep(0.01)


def main() -> int:
    """Report the command's process id, then wait for its end."""
    report, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(report, False)
    set_process_control(PR_SET_CHILD_SUBREAPER, 1)
    try:
        guard = Guard(command)
    except OSError as error:
        os.write(report, f"!{command[0]}: {error.strerror}\n".encode())
        return 127
    os.write(report, f"{guard.child}\n".encode())
    os.close(report)
    code = guard.run()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
