"""A command that ends with the process that started it: start, pause, stop."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from devservices.reaper import descendants, send_signal, session

GUARD = Path(__file__).with_name("reaper.py")


class ProcessFailed(RuntimeError):
    """A server or another command could not be started, or ended when it should not."""


def last_line(text: str, *signs: str) -> str:
    """The last line with the first of these signs that occurs at all; without any, the last line.

    At most 300 characters, for an error message.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no output"]
    for sign in signs:
        if found := [line for line in lines if sign in line]:
            return found[-1][:300]
    return lines[-1][:300]


def run_command(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, without input; OSError, TimeoutExpired.

    What it writes is kept as text, and its exit status is the caller's to check.
    """
    return subprocess.run(
        command,
        env=env,
        cwd=cwd,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


class GuardedProcess:
    """One run of one command, with a guard that ends it when this process ends, whatever way."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        output: IO[bytes] | None = None,
    ) -> None:
        """Start `command`, its stdout and stderr going to a file or to ours.

        Raises ProcessFailed when the command cannot be started at all.
        """
        self._settled = False
        read_end, write_end = os.pipe()
        with os.fdopen(read_end, encoding="utf-8") as report:
            try:
                self._guard = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(GUARD), str(write_end), *map(str, command)],
                    env=env,
                    cwd=cwd,
                    stdin=subprocess.PIPE,  # the life line: nothing is ever written to it
                    stdout=output,
                    stderr=None if output is None else subprocess.STDOUT,
                    pass_fds=(write_end,),
                    start_new_session=True,
                )
            finally:
                os.close(write_end)
            answer = report.readline().strip()
        if not answer.isdecimal():
            self._guard.wait()
            raise ProcessFailed(answer.removeprefix("!") or f"{command[0]} could not be started.")
        self.guard_pid = self._guard.pid
        self.pid = int(answer)

    def poll(self) -> int | None:
        """Exit status, or None while it runs. Once there is one, all descendants are gone."""
        status = self._guard.poll()
        if status is not None and status < 0 and not self._settled:
            for pid in session(self.guard_pid):  # what the guard, killed itself, can no longer do
                send_signal(pid, signal.SIGKILL)
            self._settled = True
        return status

    @property
    def running(self) -> bool:
        """Whether the command still runs."""
        return self.poll() is None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; subprocess.TimeoutExpired after `timeout` seconds."""
        self._guard.wait(timeout)
        return self.poll() or 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command itself; nothing happens when it has ended."""
        if self.running:
            send_signal(self.pid, number)

    def kill(self) -> None:
        """kill -9, and wait until the command and all its descendants are gone."""
        self.stop(signal.SIGKILL, 0)

    def stop(self, number: signal.Signals = signal.SIGTERM, grace: float = 10) -> int:
        """Send the signal, kill after `grace` seconds; the exit status."""
        self.send(number)
        return self.finish(grace)

    def finish(self, grace: float) -> int:
        """Wait `grace` seconds for its end, then kill; the exit status."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(grace)
        assert self._guard.stdin
        with contextlib.suppress(OSError):
            self._guard.stdin.close()  # the life line: the guard kills what is left
        return self.wait(10)

    def pause(self) -> None:
        """Freeze the command with all its descendants."""
        self._send_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue what `pause` froze."""
        self._send_all(signal.SIGCONT)

    def _send_all(self, number: signal.Signals) -> None:
        self.send(number)
        for pid in descendants(self.pid):
            send_signal(pid, number)
