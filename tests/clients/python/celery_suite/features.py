"""Celery with what RabbitMQ adds: quorum queues, native delayed delivery, priorities, TTL, dead letters."""

import os
import tempfile
import time

from celery_suite import feature_tasks
from celery_suite.workers import PATIENCE_S, worker
from scenarios import scenario, wait_for

QUORUM = "clients.celery.quorum"


def features_worker(queue=QUORUM, concurrency=2):
    """A worker of the app with quorum queues."""
    return worker(queue, "celery_suite.feature_tasks", concurrency)


def lines(path):
    """What tasks have noted in the file so far."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as text:
        return text.read().split()


def next_dead(task_id):
    """Waits for the dead letter of that task; its newest death."""
    with feature_tasks.app.connection_for_read() as connection:
        ch = connection.default_channel

        def found():
            one = ch.basic_get(feature_tasks.DEAD, no_ack=True)
            return one if one and one.headers["id"] == task_id else None

        return wait_for(found, f"the dead letter of {task_id}", PATIENCE_S, 0.1).headers["x-death"][0]


def declare():
    """Declares the queues of the app, and empties them."""
    with feature_tasks.app.connection_for_write() as connection:
        for queue in feature_tasks.app.amqp.queues.values():
            bound = queue.bind(connection.default_channel)
            bound.declare()
            bound.purge()


@scenario(limit_s=120)
def quorum_queue():
    """Tasks on a quorum queue: the worker finds out and asks for a prefetch per consumer."""
    with features_worker():
        results = [feature_tasks.add.delay(n, n) for n in range(50)]
        assert [result.get(PATIENCE_S) for result in results] == [2 * n for n in range(50)]


@scenario(limit_s=120)
def native_delayed_delivery():
    """A countdown waits in the broker: 28 queues of powers of two seconds, dead-lettering at least once."""
    declare()
    with features_worker():
        start = time.time()
        later = [feature_tasks.when.apply_async(countdown=3) for _ in range(4)]
        assert feature_tasks.add.delay(1, 1).get(PATIENCE_S) == 2
        with feature_tasks.app.connection_for_read() as connection:
            waiting = [connection.default_channel.queue_declare(f"celery_delayed_{level}", passive=True).message_count
                       for level in range(28)]
        assert sum(waiting) == 4 or time.time() - start > 2.5, waiting
        assert all(3 <= result.get(PATIENCE_S) - start for result in later)


@scenario(limit_s=120)
def rejected_task_is_dead_lettered():
    """Reject without requeue: the task goes to the dead letters at once."""
    declare()
    with tempfile.TemporaryDirectory() as folder, features_worker():
        notes = os.path.join(folder, "notes")
        task = feature_tasks.refuse.delay(notes, False)
        death = next_dead(task.id)
        assert (death["reason"], death["queue"], death["count"]) == ("rejected", QUORUM, 1), death
        assert lines(notes) == [task.id]


@scenario(limit_s=120)
def poison_task_is_given_up():
    """Reject with requeue, again and again: the queue's delivery limit ends it."""
    declare()
    with tempfile.TemporaryDirectory() as folder, features_worker():
        notes = os.path.join(folder, "notes")
        task = feature_tasks.refuse.delay(notes, True)
        assert next_dead(task.id)["reason"] == "delivery_limit"
        assert lines(notes) == [task.id] * 4


@scenario(limit_s=120)
def priorities():
    """Tasks that wait in a queue with priorities are done highest first."""
    queue = "clients.celery.priority"
    declare()
    with tempfile.TemporaryDirectory() as folder:
        notes = os.path.join(folder, "notes")
        for priority in (1, 9, 5, 0, 9):
            feature_tasks.note.apply_async((notes, str(priority)), queue=queue, priority=priority)
        with features_worker(queue, concurrency=1):
            wait_for(lambda: len(lines(notes)) == 5, "the five tasks", PATIENCE_S, 0.1)
        assert lines(notes) == ["9", "9", "5", "1", "0"], lines(notes)


@scenario(limit_s=120)
def tasks_expire():
    """What nobody takes in time is dead-lettered, by the queue's TTL or the task's own."""
    queue = "clients.celery.mortal"
    declare()
    start = time.monotonic()
    own = feature_tasks.add.apply_async((1, 1), queue=queue, expires=0.1)
    assert next_dead(own.id)["reason"] == "expired" and time.monotonic() - start < 0.5
    task = feature_tasks.add.apply_async((1, 1), queue=queue)
    death = next_dead(task.id)
    assert (death["reason"], death["queue"]) == ("expired", queue), death
    assert time.monotonic() - start >= 0.5
