"""Long work in the data folder, ended by its end, by its failure or by a signal."""

import sys
from collections.abc import Callable
from pathlib import Path

from datafolder import data_folder
from stopping import Stopped, stop_on_signals


def supervise(
    work: Callable[[Path], bool], complaint: str, failures: tuple[type[Exception], ...]
) -> bool:
    """Do `work` in the data folder, and give its answer; False after one of the `failures`.

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
        print(f"pizza: {complaint}: {error}", file=sys.stderr)
        return False
