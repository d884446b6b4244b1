"""Writes log lines with an action and details, and limits how often a lasting error is logged."""

import time
from collections.abc import Callable, Mapping
from typing import Any


def log_action(
    write: Callable[..., None],
    action: str,
    text: str,
    details: Mapping[str, Any] | None = None,
    *,
    error: BaseException | None = None,
    **fields: Any,
) -> None:
    """Log one line. write: a logger's method for the level, such as `log.warning`.

    action: listed in docs/operations.md. details: facts that JSON can represent. error: logged with
    its traceback. fields: order_number, duration_ms and priority, if the line has them.
    """
    if details is not None:
        fields["details"] = details
    write(text, exc_info=error, extra={"action": action, **fields}, stacklevel=2)


class LogThrottle:
    """Limits log lines: at most one in `interval` seconds about the same thing. One thread."""

    def __init__(self, interval: float = 60.0) -> None:
        self._interval = interval
        self._logged_at: dict[str, float] = {}

    def is_due(self, about: object) -> bool:
        """Whether to log a line now.

        about: an error or a name. All "… is not available: …" texts of one server are the same.
        """
        text, now = str(about).partition(" is not available:")[0], time.monotonic()
        if now - self._logged_at.get(text, -self._interval) < self._interval:
            return False
        self._logged_at[text] = now
        return True

    def is_over(self) -> bool:
        """Reset after a success; returns whether there had been an error."""
        had_error = bool(self._logged_at)
        self._logged_at.clear()
        return had_error
