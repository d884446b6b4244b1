"""The restaurant's processes, as the Procfile names them: started, kept alive, stopped."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.data_dir import ROOT
from devservices import GuardedProcess, ProcessFailed
from supervisor.backing_services import BackingServices
from supervisor.procfile import Entry, read_procfile
from terminal.progress import step

GRACE_SECONDS = 6.0  # cooks are told --grace=4
LOOK_SECONDS = 0.1
STEADY_SECONDS = 5.0  # a process that ran this long was healthy: its next end is the first again
MAX_RESTARTS = 8
SETUP_TRIES = 3


class SupervisorFailed(RuntimeError):
    """The restaurant could not be set up or kept open; the message is one sentence."""


@dataclass
class Child:
    """One process of the Procfile, through all its lives."""

    entry: Entry
    log: Path
    process: GuardedProcess
    started: float = field(default_factory=time.monotonic)
    restarts: int = 0


class Supervisor:
    """Runs the Procfile on a backing, and restarts whatever of both dies, until closed."""

    def __init__(
        self, backing: BackingServices, logs: Path, environment: Mapping[str, str]
    ) -> None:
        """Nothing is started yet. `environment` is what the Procfile's lines refer to."""
        self.backing = backing
        self.failure: SupervisorFailed | None = None
        self.restarted: list[str] = []
        self._logs = logs
        self._extra = dict(environment)
        self._children: list[Child] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="watch", daemon=True)

    def start_services(self) -> None:
        """Start the private servers; make tables and queues, in private servers or given ones."""
        servers = self.backing.private
        with step(f"Starting {servers}, tables and queues" if servers else "Tables and queues"):
            self.backing.start(lambda: self.set_up("--setup-db"))
            self.set_up("--setup-queues")

    def set_up(self, verb: str) -> None:
        """Run `restaurant-system VERB`; again, if it was hit by what happens to its server."""
        log = self._logs / f"{verb.strip('-')}.log"
        for attempt in range(1, SETUP_TRIES + 1):
            process = self._start(["restaurant-system", verb], log)
            try:
                if process.wait(60) == 0:
                    return
            except subprocess.TimeoutExpired:
                process.kill()
            if attempt < SETUP_TRIES:
                time.sleep(0.5)
        raise SupervisorFailed(f"restaurant-system {verb} failed: {last_message(log)}")

    def open(self, counts: Mapping[str, int]) -> None:
        """Start the Procfile's processes and the watch over them and the servers."""
        for entry in read_procfile(ROOT / "Procfile", counts):
            log = self._logs / f"{entry.name}.log"
            log.unlink(missing_ok=True)
            self._children.append(Child(entry, log, self._start_entry(entry, log)))
        self._thread.start()

    def check(self) -> None:
        """Raise what keeps the restaurant from going on, if anything does."""
        if self.failure:
            raise self.failure

    def close(self) -> None:
        """Stop the processes, politely and all at once, then the private servers."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        for child in self._children:
            child.process.resume()
            child.process.send(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for child in self._children:
            child.process.finish(max(0.0, deadline - time.monotonic()))
        self.backing.stop()

    def _keep_alive(self) -> None:
        """Look after everything until closing; a failure is kept for `check`."""
        while not self._closing.wait(LOOK_SECONDS):
            try:
                self.restarted += self.backing.restart_dead()
                for child in self._children:
                    if not child.process.running:
                        self._restart(child)
            except (SupervisorFailed, ProcessFailed, OSError) as error:
                self.failure = SupervisorFailed(str(error))
                return

    def _restart(self, child: Child) -> None:
        """Start a process again, at once the first time, later when it keeps ending."""
        now = time.monotonic()
        if now - child.started > STEADY_SECONDS:
            child.restarts = 0
        elif child.restarts >= MAX_RESTARTS:
            reason = last_message(child.log)
            raise SupervisorFailed(f"{child.entry.name} keeps ending, see {child.log}: {reason}")
        if self._closing.wait(min(0.3 * child.restarts, 1.0)):
            return
        child.restarts += 1
        child.started = now
        child.process = self._start_entry(child.entry, child.log)
        self.restarted.append(child.entry.name)

    def _start_entry(self, entry: Entry, log: Path) -> GuardedProcess:
        # One shell for each line, as honcho does it; the lines say `exec`, so that signals arrive.
        return self._start(
            ["/bin/sh", "-c", entry.command], log, {"HONCHO_PROCESS_NAME": entry.name}
        )

    def _start(
        self, command: list[str], log: Path, more: Mapping[str, str] | None = None
    ) -> GuardedProcess:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environment = os.environ | {"PATH": programs} | self._extra | self.backing.environment
        log.parent.mkdir(exist_ok=True, parents=True)
        with log.open("ab") as output:
            return GuardedProcess(
                command, env=environment | dict(more or {}), cwd=ROOT, output=output
            )


def last_message(log: Path) -> str:
    """The last thing a process said, taken out of its JSON line where it is one."""
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1]
    except (OSError, IndexError):
        return "it said nothing"
    try:
        return str(json.loads(last)["message"])
    except (ValueError, KeyError, TypeError):
        return last.strip()[:300]
