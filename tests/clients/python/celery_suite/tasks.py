"""The tasks the worker offers. Imported by the worker process and by the scenarios."""

import os
import time

from celery import Celery
from kombu import Queue

from scenarios import HOST, PASSWORD, PORT, USER

app = Celery("tasks", broker=f"pyamqp://{USER}:{PASSWORD}@{HOST}:{PORT}//", backend="rpc://")
app.conf.update(
    task_queues=[Queue("clients.celery")],
    task_default_queue="clients.celery",
    task_default_exchange="clients.celery",
    task_default_routing_key="clients.celery",
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    task_reject_on_worker_lost=True,
    broker_transport_options={"confirm_publish": True},
    result_expires=300,
)


@app.task
def add(x, y):
    """The task of every tutorial."""
    return x + y


@app.task
def fail(text):
    """Raises."""
    raise ValueError(text)


@app.task(bind=True, max_retries=5)
def flaky(self, n_failures):
    """Fails the given number of times, retrying soon each time."""
    if self.request.retries < n_failures:
        raise self.retry(countdown=0.2)
    return self.request.retries


@app.task
def echo(value):
    """Gives back what it was given."""
    return value


@app.task
def when():
    """The worker's clock."""
    return time.time()


@app.task(bind=True, acks_late=True)
def slow(self, path, seconds):
    """Notes in a file that it began, works for a while, notes that it ended."""
    with open(path, "a", encoding="utf-8") as notes:
        notes.write(f"begin {os.getpid()} {self.request.delivery_info['redelivered']}\n")
    time.sleep(seconds)
    with open(path, "a", encoding="utf-8") as notes:
        notes.write("end\n")
    return "done"
