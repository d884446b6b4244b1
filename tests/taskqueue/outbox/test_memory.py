"""The relay's memory is bounded, however large the bodies are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import wait_until

MEGABYTE = 1_000_000
_SEND = """
select outbox_enqueue_event(gen_random_uuid(), %s, 'event.large',
                    convert_to('"' || repeat('x', %s - 2) || '"', 'UTF8'))
from generate_series(1, %s)
"""


def peak_megabytes(process: Process) -> float:
    """The most memory that the process has had so far."""
    status = Path(f"/proc/{process.guarded.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1000


@contextmanager
def consumed(harness: Harness) -> Iterator[list[int]]:
    """The lengths of the bodies of events as they arrive; bodies are not kept."""
    lengths: list[int] = []
    ending = threading.Event()

    def consume() -> None:
        note = lambda message: lengths.append(len(message.body))  # noqa: E731
        with harness.broker() as channel:
            channel.basic_qos(0, 10, False)
            channel.basic_consume(
                harness.sample.events, callback=lambda m: (note(m), ack(channel, m))
            )
            while not ending.is_set():
                try:
                    channel.connection.drain_events(timeout=0.1)
                except TimeoutError:
                    continue

    thread = threading.Thread(target=consume)
    thread.start()
    try:
        yield lengths
    finally:
        ending.set()
        thread.join()


def ack(channel: Any, message: Any) -> None:
    channel.basic_ack(message.delivery_tag)


def test_many_large_messages_and_one_huge_one_are_published_in_little_memory(
    harness: Harness,
) -> None:
    harness.conn.execute(_SEND, (harness.prefix, MEGABYTE, 600))
    with consumed(harness) as lengths:
        relay = harness.relay()
        wait_until(lambda: len(lengths) == 600, 20, "all are published")
        assert set(lengths) == {MEGABYTE}
        assert peak_megabytes(relay) < 250
        # And one that is larger than a batch may be goes, too
        harness.conn.execute(_SEND, (harness.prefix, 20 * MEGABYTE, 1))
        wait_until(lambda: lengths[600:] == [20 * MEGABYTE], 10, "the huge one is published")
    assert peak_megabytes(relay) < 250
    harness.await_all_done(5)
    assert not relay.tracebacks()
