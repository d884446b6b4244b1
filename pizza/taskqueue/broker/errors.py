"""Translates errors of py-amqp to errors of the framework, with a text for the operator."""

import re
from collections.abc import Generator
from contextlib import contextmanager

import amqp
from amqp.exceptions import AMQPError, ConsumerCancelled

from pizza.taskqueue.errors import BrokerUnavailable, QueueInUse, QueueMissing

_NO_QUEUE = re.compile(r"no queue '(.*)' in vhost", re.DOTALL)


@contextmanager
def translate_amqp_errors() -> Generator[None, None, None]:
    """Raise BrokerUnavailable for errors of py-amqp and for OSError.

    Use it around calls to the broker only: an OSError of a job must not be translated.
    """
    try:
        yield
    except (AMQPError, OSError) as error:
        raise explain(error) from error


def explain(error: Exception) -> BrokerUnavailable:
    """The framework's error for one of py-amqp's, on an open connection."""
    text = text_of(error)
    if isinstance(error, amqp.NotFound) and (queue := _NO_QUEUE.search(text)):
        return QueueMissing(queue[1], f"RabbitMQ has no queue {queue[1]!r}; declare it first")
    if isinstance(error, ConsumerCancelled):
        return QueueMissing(text, f"RabbitMQ ended the consumer of {text!r}: the queue is gone")
    if isinstance(error, amqp.AccessRefused) and "exclusive use" in text:
        return QueueInUse(f"another consumer has a queue for itself: {text}")
    return BrokerUnavailable(f"RabbitMQ is not available: {text}")


def text_of(error: Exception) -> str:
    """The broker's text in one line of at most 300 characters, without the error's name."""
    text = (error.reply_text if isinstance(error, AMQPError) else None) or str(error)
    text = " ".join(str(text).split())
    return re.sub(r"^[A-Z_]+ - ", "", text)[:300] or type(error).__name__
