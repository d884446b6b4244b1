"""A worker of another application on the restaurant's database and broker.

    python -m chaos_tools.workload.task_worker NAME

It serves a queue of the restaurant that nothing else serves in a scenario: the publisher
declares it, also at a broker that has lost its disk.
"""

import logging
import sys
import time

from chaos_tools.process_specs import LEASE_SECONDS
from pizza.config.settings import load
from pizza.observability import logging_config
from pizza.taskqueue import App, Job
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.worker import Worker
from pizza.topology import TOPOLOGY, WEBHOOKS_QUEUE

log = logging.getLogger(__name__)

QUEUE = WEBHOOKS_QUEUE
TASK = "chaos_record"
TRANSACTION_OPEN = "chaos_transaction_open"
HEARTBEAT_SECONDS = 2

_EFFECT = """
insert into chaos_effect (message_id, worker, attempt, sent_at)
values (%(id)s, %(worker)s, %(attempt)s, %(sent_at)s)
"""

app = App("chaos", topology=TOPOLOGY)


@app.task(TASK, queue=QUEUE)
def record(job: Job) -> None:
    """Record the effect; keep the transaction open for `seconds` of the body, unless they are 0."""
    with job.complete() as conn:
        effect = {"id": job.id, "worker": job.worker_name, "attempt": job.attempt}
        conn.execute(_EFFECT, effect | {"sent_at": job.body["sent_at"]})
        if seconds := job.body["seconds"]:
            log.info("Transaction is open", extra={"action": TRANSACTION_OPEN})
            time.sleep(seconds)
            conn.execute("select 1")


def main(name: str) -> int:
    """Work until a signal arrives. DB_URL and RABBITMQ come from the environment."""
    settings = load({"mode": "kitchen-worker", "worker_name": name}, dotenv_path=None)
    logging_config.setup_logging(settings)
    options = WorkerOptions(
        name, (QUEUE,), grace=4.0, lease=LEASE_SECONDS, heartbeat=HEARTBEAT_SECONDS, relay=False
    )
    Worker(app, settings.db_url, settings.broker_url, options).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
