"""The restaurant for daily development: private servers unless given, honcho in front.

Arguments go to `honcho start`, for instance `-c all=1,cook=5` or the names of processes.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from bootstrap.data_dir import ROOT, DataFolderError, data_folder
from devservices import GuardedProcess, ProcessFailed, claim
from pizza.config.settings import SettingsError, read_dotenv
from supervisor.backing_services import BackingServices
from supervisor.signals import Stopped, stop_on_signals
from supervisor.supervisor import Supervisor, SupervisorFailed

STAFF = ["-c", "all=1,cook=3"]
HONCHO_GRACE_SECONDS = 8.0  # it gives its processes five


def main() -> int:
    """Run until Ctrl-C, or until one of the processes ends; gives honcho's exit code."""
    stop_on_signals()
    try:
        with data_folder() as folder:
            return run(folder, sys.argv[1:])
    except Stopped as stop:
        print(f"pizza: stopped by {stop}; nothing is left running.", file=sys.stderr)
        return 0 if stop.exit_code == 128 + signal.SIGINT else stop.exit_code
    except (DataFolderError, OSError, ProcessFailed, SupervisorFailed, SettingsError) as error:
        print(f"pizza: {error}", file=sys.stderr)
        return 1


def run(folder: Path, arguments: list[str]) -> int:
    """Servers, tables, queues; then honcho until it ends or a signal comes; then all of it down."""
    port = os.environ.setdefault("ORDER_PORT", os.environ.get("PORT", "3000"))
    claimed = claim(int(port)) if port.isdecimal() else None
    if claimed is None:
        raise SupervisorFailed(f"Port {port} is not free: set PORT to another.")
    backing = BackingServices(folder, read_dotenv(ROOT / ".env") | os.environ)
    supervisor = Supervisor(backing, folder / "logs", {})
    over = threading.Event()
    try:
        backing.prepare()
        start_services(supervisor)
        print(f"The restaurant opens at http://127.0.0.1:{port}; Ctrl-C closes it.", flush=True)
        for name, value in backing.environment.items():
            print(f"  export {name}={value}", flush=True)
        threading.Thread(target=keep_servers, args=(backing, over), daemon=True).start()
        return run_honcho(backing, arguments)
    finally:
        over.set()
        supervisor.close()
        claimed.close()


def start_services(supervisor: Supervisor) -> None:
    """Servers, tables and queues; data is never set aside here: somebody may be at work on it."""
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


def keep_servers(backing: BackingServices, over: threading.Event) -> None:
    """Start private servers again that die; the restaurant reconnects by itself."""
    while not over.wait(0.5):
        for name in backing.restart_dead():
            print(f"pizza: {name} had died and was started again.", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
