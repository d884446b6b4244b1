"""Exchanges, queues and bindings as data, declared by whoever connects."""

from __future__ import annotations

from dataclasses import dataclass

from kombu import Exchange, Queue


@dataclass(frozen=True, slots=True)
class Topology:
    """What has to exist at the broker. Queues carry their bindings (kombu's `Queue.bindings`)."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()

    def __add__(self, other: Topology) -> Topology:
        return Topology(self.exchanges + other.exchanges, self.queues + other.queues)


DEAD_LETTER_EXCHANGE = "dead_letters"
DEAD_LETTER_QUEUE = "dead_letter_queue"

_dead_letters = Exchange(DEAD_LETTER_EXCHANGE, type="topic", durable=True)
DEAD_LETTERS = Topology(
    exchanges=(_dead_letters,),
    queues=(Queue(DEAD_LETTER_QUEUE, _dead_letters, routing_key="#", durable=True),),
)
