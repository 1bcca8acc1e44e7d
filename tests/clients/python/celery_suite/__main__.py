"""Celery scenarios: `python -m celery_suite [name ...]`."""

import os
import signal
import tempfile
import time
from datetime import datetime, timedelta, timezone

from celery import chain, group
from celery.exceptions import TimeoutError as CeleryTimeout

import scenarios
from celery_suite import tasks
from celery_suite.workers import PATIENCE_S, end, worker
from scenarios import broker, name, scenario, wait_for

@scenario(limit_s=120)
def tasks_and_results():
    """Results and errors come back over rpc://, whatever the order in which they are asked for."""
    with worker():
        results = [tasks.add.delay(n, n) for n in range(50)]
        assert [r.get(PATIENCE_S) for r in reversed(results)] == [2 * n for n in reversed(range(50))]
        value = {"text": "grüße", "list": [1, 2.5, None, True], "big": "x" * 500_000}
        assert tasks.echo.delay(value).get(PATIENCE_S) == value
        failed = tasks.fail.delay("on purpose")
        try:
            failed.get(PATIENCE_S)
        except ValueError as error:
            assert str(error) == "on purpose"
        else:
            raise AssertionError("the error did not come back")
        assert failed.state == "FAILURE"


@scenario(limit_s=120)
def retries():
    """A task that fails three times is sent to the queue again each time."""
    with worker():
        assert tasks.flaky.delay(3).get(PATIENCE_S) == 3


@scenario(limit_s=120)
def groups_and_chains():
    """A group's results in order; a chain's passed on from task to task."""
    with worker():
        assert group(tasks.add.s(n, 1) for n in range(20))().get(PATIENCE_S) == list(range(1, 21))
        assert chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.s(4))().get(PATIENCE_S) == 10


@scenario(limit_s=120)
def countdown_and_eta():
    """Tasks for later are done later, and do not hold up those for now (the worker raises its qos)."""
    with worker():
        start = time.time()
        later = [tasks.when.apply_async(countdown=3) for _ in range(6)]
        at = tasks.when.apply_async(eta=datetime.now(timezone.utc) + timedelta(seconds=4))
        now = tasks.add.delay(1, 1)
        assert now.get(PATIENCE_S) == 2 and time.time() - start < 3
        assert all(3 <= r.get(PATIENCE_S) - start for r in later)
        assert at.get(PATIENCE_S) - start >= 3.9


@scenario(limit_s=120)
def remote_control():
    """ping, stats and active queues go through a fanout exchange and reply queues."""
    with worker():
        control = tasks.app.control
        replies = wait_for(lambda: control.ping(timeout=1), "a pong", PATIENCE_S)
        assert [list(reply.values()) for reply in replies] == [[{"ok": "pong"}]]
        (active,) = control.inspect(timeout=2, limit=1).active_queues().values()
        assert [queue["name"] for queue in active] == ["clients.celery"]
        assert control.inspect(timeout=2, limit=1).stats()


@scenario(limit_s=180)
def killed_worker_redelivers():
    """A worker killed in the middle of an acks_late task: the next one gets the task, redelivered."""
    with tempfile.TemporaryDirectory() as folder:
        notes = os.path.join(folder, "notes")
        with worker() as first:
            result = tasks.slow.delay(notes, 3)
            wait_for(lambda: os.path.exists(notes) and os.path.getsize(notes), "the task to begin", PATIENCE_S)
            end(first, signal.SIGKILL)
        with worker():
            assert result.get(PATIENCE_S) == "done"
        with open(notes, encoding="utf-8") as text:
            words = text.read().split()
        assert words.count("begin") == 2 and words.count("end") == 1, words
        assert (words[2], words[5]) == ("False", "True"), words


def _ended(notes):
    """How many `slow` tasks have noted their end."""
    with open(notes, "a+", encoding="utf-8") as text:
        text.seek(0)
        return text.read().count("end")


@scenario(limit_s=240)
def broker_restart():
    """The broker restarts under a worker: it reconnects, and tasks sent before and after are done."""
    with tempfile.TemporaryDirectory() as folder, worker():
        assert tasks.add.delay(1, 1).get(PATIENCE_S) == 2
        before, after, waiting = os.path.join(folder, "before"), os.path.join(folder, "after"), name("celery")
        for _ in range(5):
            tasks.slow.apply_async((before, 0), queue=waiting, ignore_result=True)
        broker("stop")
        broker("start")

        def sent():
            try:
                return tasks.slow.apply_async((after, 0), ignore_result=True)
            except OSError:  # kombu's OperationalError is one
                return None

        wait_for(sent, "the producer to reconnect", PATIENCE_S, 0.5)
        wait_for(lambda: _ended(after), "the worker to reconnect", PATIENCE_S, 0.5)
        with worker(waiting):
            wait_for(lambda: _ended(before) == 5, "the five tasks sent before", PATIENCE_S, 0.5)


@scenario(limit_s=60)
def result_that_never_comes():
    """Waiting for a task nobody does ends with a timeout, and leaves the connection usable."""
    result = tasks.add.apply_async((1, 1), queue=name("nobody"), expires=60)
    try:
        result.get(timeout=1)
    except CeleryTimeout:
        pass
    else:
        raise AssertionError("somebody did the task")


scenarios.main("celery", ["celery_suite.features"])
