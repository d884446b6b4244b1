"""What the framework raises.

FrameworkError
├── ConfigurationError     a task, queue or policy was declared wrongly
├── BrokerUnavailable      RabbitMQ is absent, hung, or gone in the middle
│   ├── QueueInUse         another consumer has the queue for itself
│   ├── QueueMissing       a queue that is not declared, or was deleted
│   └── TopologyRefused    RabbitMQ will not declare or bind something as it was asked to
├── PoisonMessage          a message that no attempt can ever make sense of
├── DuplicateEvent              an event that had its effect before
├── TimeLimitExceeded      the job took longer than its task may
├── MaxAttemptsExceeded      every worker that began the job went away without an end
├── RegistrationRefused         this worker or subscriber may not begin (its name, its number)
└── JobInterrupted         the job ends here, without a failure of its own
    ├── NotClaimed         its message is not ours to work on: done, held, not due, not the best
    ├── LeaseLost          somebody else has taken the message over; nothing more will count
    └── Released         the worker stops and gives the message back unfinished
"""

from __future__ import annotations


class FrameworkError(Exception):
    """Root of what pizza.taskqueue raises."""


class ConfigurationError(FrameworkError):
    """A task, queue or policy was declared in a way that cannot work."""


class BrokerUnavailable(FrameworkError):
    """RabbitMQ could not be reached or did not answer in time; try again later."""


class QueueInUse(BrokerUnavailable):
    """Another consumer has the queue, and one of the two wants it for itself."""


class QueueMissing(BrokerUnavailable):
    """There is no queue of this name at the broker. queue: its name."""

    def __init__(self, queue: str, sentence: str) -> None:
        super().__init__(sentence)
        self.queue = queue


class TopologyRefused(BrokerUnavailable):
    """RabbitMQ is there, but refuses to declare or bind something; the sentence names the remedy.

    Trying again helps only after somebody has changed the broker or the topology.
    """


class PoisonMessage(FrameworkError):
    """The message can never be processed; it goes to the dead letters with this reason."""


class DuplicateEvent(FrameworkError):
    """The event had its effect before; it is over, and nothing of this run is kept."""


class TimeLimitExceeded(FrameworkError):
    """The job took longer than its task's time limit; the attempt has failed."""


class MaxAttemptsExceeded(FrameworkError):
    """The job was begun as often as its policy allows and never ended, well or badly."""


class RegistrationRefused(FrameworkError):
    """This worker or subscriber is not let in; the sentence says why."""


class JobInterrupted(FrameworkError):
    """Let this pass through a task: the executor needs it, and no effect is lost."""


class NotClaimed(JobInterrupted):
    """The message is not this worker's to process now."""

    def __init__(self, verdict: str, better_queue: str | None = None) -> None:
        super().__init__(f"the message was not claimed: {verdict}")
        self.verdict = verdict
        self.better_queue = better_queue


class LeaseLost(JobInterrupted):
    """The fencing token is out of date: another worker has taken the message over."""


class Released(JobInterrupted):
    """The worker has been told to stop and the grace period is over."""
