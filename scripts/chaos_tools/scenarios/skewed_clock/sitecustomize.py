"""A wall clock that is off; Python imports it first where the scenario `clock` adds it to the path.

CHAOS_CLOCK_SECONDS is by how much. What Python code sees is off, in the whole process: `time.time`
and `datetime.now`; time that only passes (`time.monotonic`) is as it was.
"""

import datetime
import os
import time
import warnings
from datetime import datetime as _datetime
from typing import Any

_OFF = float(os.environ.get("CHAOS_CLOCK_SECONDS", "0"))
_time, _time_ns = time.time, time.time_ns


class _Moments(type):
    """What C code makes is of the class that was there before."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _datetime)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, _datetime)


class _Shifted(_datetime, metaclass=_Moments):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _datetime.now(tz) + datetime.timedelta(seconds=_OFF)


_Shifted.__name__ = _Shifted.__qualname__ = "datetime"
_Shifted.__module__ = "datetime"

if _OFF:
    # Extensions that look at the size of the class see that it is another one.
    warnings.filterwarnings("ignore", "datetime.datetime size changed", RuntimeWarning)
    time.time = lambda: _time() + _OFF
    time.time_ns = lambda: _time_ns() + int(_OFF * 1e9)
    datetime.datetime = _Shifted  # type: ignore[misc]
