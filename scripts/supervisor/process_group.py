"""Processes by name: started, supervised in a thread of their group, stopped together."""

import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devservices import GuardedProcess

STOP_SECONDS = 6.0  # workers get --grace=4
ONE_STOP_SECONDS = 15.0  # while others go on


@dataclass
class ManagedProcess:
    """One process, across its restarts. extra_env: added to its environment."""

    name: str
    command: Sequence[str]
    extra_env: Mapping[str, str]
    process: GuardedProcess
    started: float = field(default_factory=time.monotonic)
    restarts: int = 0


class ProcessGroup:
    """Its processes write their output to files of one folder."""

    SUPERVISE_SECONDS = 0.1

    def __init__(self, folder: Path, environment: dict[str, str], cwd: Path | None = None) -> None:
        """Starts nothing. environment: of all processes; cwd: by default `folder`."""
        self.folder = folder
        self.environment = environment
        self.processes: dict[str, ManagedProcess] = {}
        self._cwd = cwd or folder
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._supervisor = threading.Thread(target=self._run, name="supervisor", daemon=True)
        folder.mkdir(parents=True, exist_ok=True)

    def start_process(self, name: str, command: Sequence[str], **extra_env: str) -> ManagedProcess:
        """Start one more process. extra_env: added to its environment."""
        with self._lock:
            process = self._launch(name, command, extra_env)
            self.processes[name] = ManagedProcess(name, command, extra_env, process)
            return self.processes[name]

    def stop_process(self, name: str) -> None:
        """Stop a process with SIGTERM, and do not restart it."""
        with self._lock:
            managed = self.processes.pop(name)
        managed.process.stop(signal.SIGTERM, ONE_STOP_SECONDS)

    def restart_process(self, managed: ManagedProcess) -> None:
        """Start a process again. An earlier run that has not ended is no longer supervised."""
        managed.process = self._launch(managed.name, managed.command, managed.extra_env)

    def start_supervision(self) -> None:
        """Start the thread that calls `supervise`."""
        self._supervisor.start()

    def supervise(self) -> None:
        """Handle all processes that have ended."""
        with self._lock:
            for managed in self.processes.values():
                if not managed.process.running:
                    self.handle_exit(managed)

    def handle_exit(self, managed: ManagedProcess) -> None:
        """Called in the supervisor's thread when a process has ended."""
        self.restart_process(managed)

    def close(self) -> None:
        """End the supervision; stop all processes at once, with kill -9 after STOP_SECONDS."""
        self._closing.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        found = [managed.process for managed in self.processes.values()]
        for process in found:
            process.resume()
            process.send(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in found:
            process.finish(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._closing.wait(self.SUPERVISE_SECONDS):
            self.supervise()

    def _launch(
        self, name: str, command: Sequence[str], extra_env: Mapping[str, str]
    ) -> GuardedProcess:
        environment = self.environment | dict(extra_env)
        with (self.folder / f"{name}.log").open("ab") as output:
            return GuardedProcess(command, env=environment, cwd=self._cwd, output=output)


def python(*words: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", *words]
