"""Ending by signal: the first unwinds the program, a second ends it on the spot."""

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asked the program to end; like KeyboardInterrupt not an Exception."""

    def __init__(self, number: int) -> None:
        """`number` is the signal's."""
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def stop_on_signals() -> None:
    """Raise Stopped in the main thread at the first signal; at the next leave at once.

    Leaving at once is safe: every process that was started is guarded, and ends with this one.
    """

    def unwind(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, leave)
        raise Stopped(number)

    def leave(number: int, _frame: FrameType | None) -> None:
        os._exit(128 + number)

    for each in SIGNALS:
        signal.signal(each, unwind)
