"""The restaurant's processes, as the Procfile names them: started, kept alive, stopped."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from honcho.environ import ProcessParams, expand_processes, parse_procfile

from bootstrap.data_dir import ROOT
from devservices import ProcessFailed
from devservices.process import last_line
from supervisor.backing_services import BackingServices
from supervisor.process_group import ManagedProcess, ProcessGroup
from terminal.progress import step

STEADY_SECONDS = 5.0  # a process that ran this long was healthy: its next end is the first again
MAX_RESTARTS = 8
SETUP_TRIES = 3
SETUP_SECONDS = 60


class SupervisorFailed(RuntimeError):
    """The restaurant could not be set up or kept open; the message is one sentence."""


class Supervisor(ProcessGroup):
    """Runs the Procfile, and restarts processes and private servers that end, until closed."""

    def __init__(
        self,
        backing: BackingServices,
        logs: Path,
        environment: Mapping[str, str],
        on_restart: Callable[[str], None],
    ) -> None:
        """Starts nothing. environment: the variables in the lines of the Procfile.

        on_restart: receives the name of each restarted server or process, in another thread.
        """
        super().__init__(logs, {}, ROOT)
        self.backing = backing
        self.failure: SupervisorFailed | None = None
        self._extra = dict(environment)
        self._on_restart = on_restart

    def start_services(self) -> None:
        """Start the private servers; make tables and queues, in private servers or given ones."""
        self.backing.prepare()
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        servers_env = self.backing.environment
        self.environment = os.environ | {"PATH": programs} | self._extra | servers_env
        servers = self.backing.private
        with step(f"Starting {servers}, tables and queues" if servers else "Tables and queues"):
            self.backing.start(lambda: self.set_up("--setup-db"))
            self.set_up("--setup-queues")

    def set_up(self, verb: str) -> None:
        """Run `restaurant-system VERB`; again if it failed, as the server may have been killed."""
        name = verb.strip("-")
        for attempt in range(SETUP_TRIES):
            time.sleep(0.5 if attempt else 0.0)
            process = self._launch(name, ["restaurant-system", verb], {})
            try:
                if process.wait(SETUP_SECONDS) == 0:
                    return
            except subprocess.TimeoutExpired:
                process.kill()
        raise SupervisorFailed(f"restaurant-system {verb} failed: {self._last_message(name)}")

    def open(self, counts: Mapping[str, int]) -> None:
        """Start the processes of the Procfile, one of each that `counts` omits; supervise all."""
        for entry in read_procfile(counts):
            (self.folder / f"{entry.name}.log").unlink(missing_ok=True)
            # One shell for each line, as in honcho; the lines have `exec`, so that signals arrive.
            self.start_process(entry.name, ["/bin/sh", "-c", entry.cmd], **entry.env)
        self.start_supervision()

    def check(self) -> None:
        """Raise SupervisorFailed when the restaurant cannot go on."""
        if self.failure:
            raise self.failure

    def close(self) -> None:
        """Stop the processes, then the private servers."""
        super().close()
        self.backing.stop()

    def supervise(self) -> None:
        """Restart servers and processes; the first failure ends the supervision, see `check`."""
        try:
            for name in self.backing.restart_dead():
                self._on_restart(name)
            super().supervise()
        except (SupervisorFailed, ProcessFailed, OSError) as error:
            self.failure = SupervisorFailed(str(error))
            self._closing.set()

    def handle_exit(self, managed: ManagedProcess) -> None:
        """Restart a process: at once the first time, later when it ends again and again."""
        now = time.monotonic()
        if now - managed.started > STEADY_SECONDS:
            managed.restarts = 0
        elif managed.restarts >= MAX_RESTARTS:
            log, reason = self.folder / f"{managed.name}.log", self._last_message(managed.name)
            raise SupervisorFailed(f"{managed.name} keeps ending, see {log}: {reason}")
        if self._closing.wait(min(0.3 * managed.restarts, 1.0)):
            return
        managed.restarts += 1
        managed.started = now
        self.restart_process(managed)
        self._on_restart(managed.name)

    def _last_message(self, name: str) -> str:
        """The last line that a process wrote; only the message, if it is a line of its log."""
        text = (self.folder / f"{name}.log").read_text(errors="replace")
        try:
            return str(json.loads(text.strip().splitlines()[-1])["message"])
        except (IndexError, ValueError, KeyError, TypeError):
            return last_line(text)


def read_procfile(counts: Mapping[str, int]) -> list[ProcessParams]:
    """The processes that `honcho start -c …` would start."""
    processes = parse_procfile((ROOT / "Procfile").read_text()).processes
    return list(expand_processes(processes, counts))
