"""Encodes changes of orders as server-sent events."""

from __future__ import annotations

from pizza.changes.cursor import Cursor
from pizza.changes.storage import Change
from pizza.domain.actor import role_of
from pizza.web.schemas import documents, serializers

CONTENT_TYPE = "text/event-stream"
HEADERS = {
    "Content-Type": CONTENT_TYPE,
    "Cache-Control": "no-store",
    # nginx must not buffer the response.
    "X-Accel-Buffering": "no",
    "Referrer-Policy": "no-referrer",
}
# Milliseconds after which a client reconnects.
RETRY = b"retry: 2000\n\n"
PING = b": ping\n\n"

_UPDATE = documents.DocumentType(
    Change,
    {"number": "order_number", "status": "new_status", "changed_at": "timestamp"},
    hidden=["position", "previous_position"],
)
# What everybody who knows the number of an order may read. A new field is private until it is here.
_PUBLIC = frozenset(
    {
        "order_number",
        "old_status",
        "new_status",
        "changed_by",
        "timestamp",
        "estimated_completion",
        "event_id",
        "sequence",
        "order_type",
        "stage",
    }
)


def update(change: Change, *, include_private: bool = True) -> dict[str, object]:
    """The status update of docs/asyncapi.yaml.

    include_private: with customer, notes and priority; without it `changed_by` is a role.
    """
    document = _UPDATE(change)
    if include_private:
        return document
    known = {name: value for name, value in document.items() if name in _PUBLIC}
    return known | {"changed_by": role_of(change.changed_by, change.status)}


class EncodedChange:
    """A change for many streams; each form of it is encoded once.

    cursor: the event id in a stream of all orders; None if only streams of its order send it.
    """

    __slots__ = ("_encoded", "change", "cursor")

    def __init__(self, change: Change, cursor: Cursor | None = None) -> None:
        self.change, self.cursor = change, cursor
        self._encoded: dict[tuple[object, bool], bytes] = {}

    def event(self, id: Cursor | int | None, *, include_private: bool = True) -> bytes:
        """An event `order`. id: where a client resumes; None to leave its last id unchanged."""
        encoded = self._encoded.get((id, include_private))
        if encoded is None:
            data = serializers.dump(update(self.change, include_private=include_private))
            line = "" if id is None else f"id: {id}\n"
            encoded = f"{line}event: order\ndata: {data}\n".encode()
            self._encoded[id, include_private] = encoded
        return encoded


def end(change: Change) -> bytes:
    """The event `end`, the last one of an order: a client need not reconnect."""
    data = serializers.dump({"order_number": change.number, "status": change.status})
    return f"event: end\ndata: {data}\n".encode()
