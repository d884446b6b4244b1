"""A small task framework: enqueueing is part of your transaction, and so is the effect.

from pizza.taskqueue import App, RetryPolicy

app = App("shop")

@app.task("send_invoice", queue="invoices", retry=RetryPolicy(max_attempts=5))
def send_invoice(job):
    with job.complete() as conn:          # your effect and the job's end, one commit
        conn.execute("update invoice set sent = true where id = %s", [job.body["id"]])

with conn.transaction():                    # your order and its task, one commit
    conn.execute("insert into purchase …")
    send_invoice.send(conn, {"id": 7})
"""

from pizza.taskqueue.app import App, Blueprint
from pizza.taskqueue.errors import FrameworkError
from pizza.taskqueue.job import Job
from pizza.taskqueue.retry import RetryPolicy
from pizza.taskqueue.task import Task

__all__ = ["App", "Blueprint", "FrameworkError", "Job", "RetryPolicy", "Task"]
