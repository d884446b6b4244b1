"""Stop signals: the first one unwinds the program, the second one ends it at once."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from bootstrap.data_dir import data_folder

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


def run_in_data_dir(
    work: Callable[[Path], bool], failure_label: str, failures: tuple[type[Exception], ...]
) -> bool:
    """Run `work` with the data folder, and return its result; False after one of the `failures`.

    A signal ends the program with the status that shells expect: SystemExit.
    """
    stop_on_signals()
    try:
        with data_folder() as folder:
            return work(folder)
    except Stopped as stop:
        print(f"pizza: stopped by {stop}; nothing is left running.", file=sys.stderr)
        raise SystemExit(stop.exit_code) from None
    except failures as error:
        print(f"pizza: {failure_label}: {error}", file=sys.stderr)
        return False
