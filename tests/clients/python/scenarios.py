"""A tiny runner: scenarios are functions, in the order in which they are written.

A suite is a list of modules; every function marked `@scenario` in them is run, one after another,
each with its own time limit, and reported on one line:

    ok   pika hello_world 0.03s
    FAIL pika work_queue 0.51s: AssertionError: ...
    skip pika restart: the broker is not ours to restart

The lines are counted by `tests/clients/run`. Arguments on the command line are names of scenarios
(shell patterns); without any, all are run. Nothing here knows an AMQP library.
"""

import asyncio
import faulthandler
import fnmatch
import importlib
import inspect
import os
import signal
import subprocess
import sys
import time
import traceback
import uuid

HOST = os.environ.get("AMQP_HOST", "127.0.0.1")
PORT = int(os.environ.get("AMQP_PORT", "5672"))
USER = os.environ.get("AMQP_USER", "guest")
PASSWORD = os.environ.get("AMQP_PASSWORD", "guest")

# Seconds one scenario may take unless it says otherwise.
LIMIT_S = 30

_scenarios = []


class Skip(Exception):
    """Raised by a scenario that cannot run here; its text is the reason."""


class TooSlow(Exception):
    """The scenario did not end within its limit."""


def scenario(function=None, *, limit_s=LIMIT_S):
    """Marks a function, plain or async, as a scenario."""

    def mark(marked):
        assert marked.__doc__, f"{marked.__name__} does not say what it shows"
        _scenarios.append((marked, limit_s))
        return marked

    return mark(function) if function else mark


def name(what="q"):
    """A name nobody else uses, for queues and exchanges."""
    return f"clients.{what}.{uuid.uuid4().hex[:10]}"


def wait_for(condition, what, limit_s=10, step_s=0.02, turn=time.sleep):
    """Waits until `condition()` is true and returns its value; `turn(step_s)` passes the time."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit_s} s in vain for {what}")
        turn(step_s)


def broker(command):
    """Runs `broker.sh start|stop|kill`; skips the scenario when the broker is not ours."""
    if not os.environ.get("BROKER_STATE"):
        raise Skip("the broker is not ours to restart")
    control = os.path.join(os.path.dirname(__file__), "..", "broker.sh")
    done = subprocess.run([control, command], stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 0, f"broker.sh {command} failed"


def _alarm(_signal, _frame):
    raise TooSlow("did not end within its time limit")


def _run_one(function, limit_s):
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(limit_s)
    # If even the alarm cannot get through, say where it hangs and give up on the suite.
    faulthandler.dump_traceback_later(limit_s + 15, exit=True)
    try:
        if inspect.iscoroutinefunction(function):
            asyncio.run(function())
        else:
            function()
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()


def _report(suite, function, limit_s):
    start = time.monotonic()
    try:
        _run_one(function, limit_s)
    except Skip as reason:
        print(f"skip {suite} {function.__name__}: {reason}", flush=True)
        return True
    except Exception as error:  # pylint: disable=broad-except
        took = time.monotonic() - start
        text = " ".join(str(error).split())[:300]
        print(f"FAIL {suite} {function.__name__} {took:.2f}s: {type(error).__name__}: {text}", flush=True)
        traceback.print_exc()
        sys.stderr.flush()
        return False
    print(f"ok   {suite} {function.__name__} {time.monotonic() - start:.2f}s", flush=True)
    return True


def main(suite, modules):
    """Runs the scenarios of `modules`; exits 1 if one failed."""
    for module in modules:
        importlib.import_module(module)
    wanted = sys.argv[1:]
    chosen = [
        (function, limit_s)
        for function, limit_s in _scenarios
        if not wanted or any(fnmatch.fnmatch(function.__name__, pattern) for pattern in wanted)
    ]
    if not chosen:
        sys.exit(f"no scenario of {suite} is called {' or '.join(wanted)}")
    # A list, not a generator: every scenario is run, whatever the ones before it did.
    good = [_report(suite, function, limit_s) for function, limit_s in chosen]
    sys.exit(0 if all(good) else 1)
