"""What the framework raises.

FrameworkError
├── ConfigurationError     a task, queue or policy was declared wrongly
├── BrokerUnavailable      RabbitMQ is unreachable, or the connection was lost
│   ├── QueueInUse         another consumer has exclusive use of the queue
│   ├── QueueMissing       the queue does not exist
│   └── TopologyRefused    RabbitMQ refuses to declare or bind something
├── PoisonMessage          a message that no attempt can process
├── DuplicateEvent         an event that was processed before
├── TimeLimitExceeded      the job exceeded its task's time limit
├── MaxAttemptsExceeded    every attempt ended with the loss of its worker
├── RegistrationRefused    this worker or subscriber may not start
└── JobInterrupted         the job ends here without a failure
    ├── NotClaimed         its message could not be claimed: completed, held, not due, not the best
    ├── LeaseLost          another worker has the message; this job has no further effect
    └── Released           the worker stops and releases the message
"""


class FrameworkError(Exception):
    """Base class of what pizza.taskqueue raises."""


class ConfigurationError(FrameworkError):
    """A task, queue or policy was declared in a way that cannot work."""


class BrokerUnavailable(FrameworkError):
    """RabbitMQ could not be reached or did not answer in time; retry later."""


class QueueInUse(BrokerUnavailable):
    """Another consumer has the queue, and one of the two requires exclusive use."""


class QueueMissing(BrokerUnavailable):
    """The broker has no queue named `queue`."""

    def __init__(self, queue: str, sentence: str) -> None:
        super().__init__(sentence)
        self.queue = queue


class TopologyRefused(BrokerUnavailable):
    """RabbitMQ refuses to declare or bind something; the text names the remedy.

    A retry helps only after the broker or the topology has been changed.
    """


class PoisonMessage(FrameworkError):
    """The message can never be processed; it is dead-lettered with this reason."""


class DuplicateEvent(FrameworkError):
    """The event was processed before; this transaction is rolled back and the event is acked."""


class TimeLimitExceeded(FrameworkError):
    """The job exceeded its task's time limit; the attempt has failed."""


class MaxAttemptsExceeded(FrameworkError):
    """The job was started as often as its policy allows, and each time its worker was lost."""


class RegistrationRefused(FrameworkError):
    """This worker or subscriber may not start; the text gives the reason."""


class JobInterrupted(FrameworkError):
    """Ends a job without a failure. A task must not catch it; the executor needs it."""


class NotClaimed(JobInterrupted):
    """The message could not be claimed. verdict: of job_claim, the SQL function.

    better_queue: the queue in which a better message waits, if that is the reason.
    """

    def __init__(self, verdict: str, better_queue: str | None = None) -> None:
        super().__init__(f"the message was not claimed: {verdict}")
        self.verdict = verdict
        self.better_queue = better_queue


class LeaseLost(JobInterrupted):
    """The fencing token is stale: another worker has the message, or it was cancelled."""


class Released(JobInterrupted):
    """The worker or subscriber has to stop, and its grace period is over."""
