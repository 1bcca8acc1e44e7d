"""An app on quorum queues, as Celery is set up for RabbitMQ 4; and queues with priorities, TTL and dead letters."""

import time

from celery import Celery
from celery.exceptions import Reject
from kombu import Exchange, Queue

from scenarios import HOST, PASSWORD, PORT, USER

DEAD = "clients.celery.dead"


def _queue(suffix, **arguments):
    """A queue with an exchange of its own; native delayed delivery wants topics."""
    name = f"clients.celery.{suffix}"
    arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
    return Queue(name, Exchange(name, type="topic"), routing_key=name, queue_arguments=arguments)


_TO_DEAD = {"x_dead_letter_exchange": "", "x_dead_letter_routing_key": DEAD}

app = Celery("features", broker=f"pyamqp://{USER}:{PASSWORD}@{HOST}:{PORT}//", backend="rpc://")
app.conf.update(
    task_queues=[
        _queue("quorum", x_queue_type="quorum", x_delivery_limit=3, **_TO_DEAD),
        _queue("priority", x_max_priority=10),
        _queue("mortal", x_message_ttl=500, **_TO_DEAD),
        _queue("dead"),
    ],
    task_default_queue="clients.celery.quorum",
    task_default_queue_type="quorum",
    task_default_exchange_type="topic",
    worker_detect_quorum_queues=True,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    result_expires=300,
)


@app.task
def add(x, y):
    """The task of every tutorial."""
    return x + y


@app.task
def when():
    """The worker's clock."""
    return time.time()


@app.task
def note(path, text):
    """Writes a line to a file."""
    with open(path, "a", encoding="utf-8") as notes:
        notes.write(f"{text}\n")


@app.task(bind=True)
def refuse(self, path, requeue):
    """Notes the delivery, then gives the message back or refuses it for good."""
    note(path, self.request.id)
    raise Reject("on purpose", requeue=requeue)
