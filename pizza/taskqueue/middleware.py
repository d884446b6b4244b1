"""Middleware: one function that wraps the run of a job.

    def timing(job, run):
        start = time.monotonic()
        try:
            return run()
        finally:
            log.debug("…", extra={"duration_ms": …})

The first of an app's middleware is the outermost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pizza.taskqueue.job import Job

Middleware = Callable[["Job", Callable[[], Any]], Any]


def wrap(middleware: Sequence[Middleware], job: Job, run: Callable[[], Any]) -> Callable[[], Any]:
    """`run` with all of the middleware around it."""
    for each in reversed(middleware):
        run = partial(each, job, run)
    return run


def timing(job: Job, run: Callable[[], Any]) -> Any:
    """Set `job.duration_ms`, the duration of the run, which log lines of its outcome contain."""
    start = time.monotonic()
    try:
        return run()
    finally:
        job.duration_ms = round((time.monotonic() - start) * 1000)
