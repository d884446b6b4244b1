"""Live events as they go over the wire: server-sent events, one for each change of an order."""

from __future__ import annotations

from pizza.changes.cursor import Cursor
from pizza.changes.storage import Change
from pizza.domain.actor_display import role_of
from pizza.web.schemas import serializers

CONTENT_TYPE = "text/event-stream"
HEADERS = {
    "Content-Type": CONTENT_TYPE,
    "Cache-Control": "no-store",
    # A proxy must not wait until it has a page full.
    "X-Accel-Buffering": "no",
    "Referrer-Policy": "no-referrer",
}
# In how many milliseconds a client comes again after a cut.
RETRY = b"retry: 2000\n\n"
PING = b": ping\n\n"

# What tells of a person, or is a matter between guest and staff.
_PERSONAL = ("priority", "customer_name", "notes")


def update(change: Change, *, include_private: bool = True) -> dict[str, object]:
    """The status update of docs/asyncapi.yaml.

    include_private: with what strangers are not told; they get a role instead of a name.
    """
    document: dict[str, object] = {
        "order_number": change.number,
        "old_status": change.old_status,
        "new_status": change.status,
        "changed_by": change.changed_by,
        "timestamp": change.changed_at,
        "estimated_completion": change.estimated_completion,
        "event_id": str(change.event_id),
        "sequence": change.sequence,
        "order_type": change.order_type,
        "priority": change.priority,
        "stage": change.stage,
        "customer_name": change.customer_name,
        "notes": change.notes,
    }
    if include_private:
        return document
    known = {k: v for k, v in document.items() if k not in _PERSONAL}
    return known | {"changed_by": role_of(change.changed_by, change.status)}


class EncodedChange:
    """A change on its way to many streams: written out once for all that show the same of it.

    cursor: of a stream of all orders that has sent this change and all that came before it; None
    for a change that only streams of its order send.
    """

    __slots__ = ("_written", "change", "cursor")

    def __init__(self, change: Change, cursor: Cursor | None = None) -> None:
        self.change, self.cursor = change, cursor
        self._written: dict[tuple[object, bool], bytes] = {}

    def event(self, id: Cursor | int | None, *, include_private: bool = True) -> bytes:
        """An event `order` with its id, from which a client goes on after a cut.

        id: None for an event after which a client goes on as before.
        """
        written = self._written.get((id, include_private))
        if written is None:
            data = serializers.dump(update(self.change, include_private=include_private))
            line = "" if id is None else f"id: {id}\n"
            written = f"{line}event: order\ndata: {data}\n".encode()
            self._written[id, include_private] = written
        return written


def end(change: Change) -> bytes:
    """The last event of an order whose life is over: a client need not come again."""
    data = serializers.dump({"order_number": change.number, "status": change.status})
    return f"event: end\ndata: {data}\n".encode()
