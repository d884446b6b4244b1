"""The restaurant for daily development: private servers unless given, honcho in front.

Arguments go to `honcho start`, for instance `-c all=1,cook=5` or the names of processes.
"""

import os
import signal
import sys
from contextlib import closing

from bootstrap.data_dir import ROOT, data_folder
from devservices import GuardedProcess, claim
from pizza.config.settings import SettingsError, read_dotenv
from supervisor.backing_services import BackingServices
from supervisor.program import run_program
from supervisor.supervisor import Supervisor, SupervisorFailed

STAFF = ["-c", "all=1,cook=3"]
HONCHO_GRACE_SECONDS = 8.0  # it gives its processes five


def main() -> int:
    """Run until Ctrl-C, or until one of the processes ends; gives honcho's exit code."""
    try:
        return run_program(run, (SupervisorFailed, SettingsError))
    except SystemExit as stop:
        return 0 if stop.code == 128 + signal.SIGINT else int(stop.code or 0)


def run() -> int:
    """Start servers and honcho in the data folder, until honcho ends or a signal arrives."""
    port = os.environ.setdefault("ORDER_PORT", os.environ.get("PORT", "3000"))
    claimed = claim(int(port)) if port.isdecimal() else None
    if claimed is None:
        raise SupervisorFailed(f"Port {port} is not free: set PORT to another.")
    with closing(claimed), data_folder() as folder:
        backing = BackingServices(folder, read_dotenv(ROOT / ".env") | os.environ)
        with closing(Supervisor(backing, folder / "logs", {}, report_restart)) as supervisor:
            start_services(supervisor)
            print(f"The restaurant opens at http://127.0.0.1:{port}; Ctrl-C closes it.", flush=True)
            for name, value in backing.environment.items():
                print(f"  export {name}={value}", flush=True)
            supervisor.start_supervision()
            return run_honcho(backing, sys.argv[1:])


def report_restart(name: str) -> None:
    """Say that a server was restarted; the restaurant reconnects to it."""
    print(f"pizza: {name} had died and was started again.", file=sys.stderr, flush=True)


def start_services(supervisor: Supervisor) -> None:
    """Servers, tables and queues; old data is kept, whatever happens."""
    try:
        supervisor.start_services()
    except SupervisorFailed as error:
        if not supervisor.backing.has_old_data:
            raise
        hint = "`scripts/demo --clean` removes the data of earlier runs"
        raise SupervisorFailed(f"{error} ({hint})") from error


def run_honcho(backing: BackingServices, arguments: list[str]) -> int:
    """honcho on the project's Procfile, stopped the way Ctrl-C would stop it."""
    where = ["-d", str(ROOT), "-f", str(ROOT / "Procfile")]
    command = ["honcho", "start", *where, *(arguments or STAFF)]
    honcho = GuardedProcess(command, env=os.environ | backing.environment, cwd=ROOT)
    try:
        return honcho.wait()
    finally:
        honcho.stop(signal.SIGTERM, HONCHO_GRACE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
