"""What all programs of this folder share: stop signals, exit codes, private servers, reports."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bootstrap.data_dir import data_folder
from devservices import ProcessFailed, Servers
from terminal.progress import step

FAILURES: tuple[type[Exception], ...] = (OSError, ProcessFailed)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asked the program to end; like KeyboardInterrupt not an Exception."""

    def __init__(self, number: int) -> None:
        """`number` is the signal's."""
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def stop_on_signals() -> None:
    """Raise Stopped in the main thread at the first signal; end the process at the second one.

    Ending at once is safe: every process that was started has a reaper, and ends with this one.
    """

    def unwind(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, leave)
        raise Stopped(number)

    def leave(number: int, _frame: FrameType | None) -> None:
        os._exit(128 + number)

    for each in SIGNALS:
        signal.signal(each, unwind)


def run_program(
    work: Callable[[], int], failures: tuple[type[Exception], ...], prefix: str = ""
) -> int:
    """The exit code of `work`, which is unwound by a stop signal; 1 after one of `failures`.

    prefix: what is printed before the sentence of a failure. A signal ends the program with the
    status that shells expect: SystemExit.
    """
    stop_on_signals()
    try:
        return work()
    except Stopped as stop:
        print(f"pizza: stopped by {stop}; nothing is left running.", file=sys.stderr)
        raise SystemExit(stop.exit_code) from None
    except failures + FAILURES as error:
        print(f"pizza: {prefix}{error}", file=sys.stderr)
        return 1


@contextmanager
def fresh_servers(name: str) -> Iterator[tuple[Servers, Path]]:
    """Private servers without data, and the empty folder `name` of the data folder."""
    with data_folder() as parent:
        folder = parent / name
        shutil.rmtree(folder, ignore_errors=True)
        servers = Servers(folder)
        try:
            with step("Starting PostgreSQL and RabbitMQ"):
                servers.start()
            yield servers, folder
        finally:
            with step("Stopping"):
                servers.stop()


def write_json(path: Path, document: object) -> None:
    """Write a document for other programs, and print where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    print(f"\nAll details are in {path}.")
