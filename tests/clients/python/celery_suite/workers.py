"""Worker processes: started, listened to, ended."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile

from scenarios import name, wait_for

# Seconds to wait for a result; a worker takes a few to start on a busy machine.
PATIENCE_S = 40


@contextlib.contextmanager
def worker(queue="clients.celery", app="celery_suite.tasks", concurrency=2):
    """A worker process of an app, taken down at the end with all its children."""
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", app, "worker", "--loglevel", "INFO",
             "--concurrency", str(concurrency), "--hostname", f"{name('worker')}@%h", "-Q", queue],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        process.log = log.name
        try:
            wait_for(lambda: process.poll() is not None or " ready." in said(process), "the worker", PATIENCE_S, 0.2)
            assert process.poll() is None, "the worker ended"
            yield process
        except BaseException:
            print(f"--- the worker said\n{said(process)}---", file=sys.stderr)
            raise
        finally:
            end(process, signal.SIGTERM)


def said(process):
    """What the worker has logged so far."""
    with open(process.log, encoding="utf-8", errors="replace") as text:
        return text.read()


def end(process, how):
    """Ends the worker and waits for it; kills what is left of its children."""
    if process.poll() is None:
        os.killpg(process.pid, how) if how == signal.SIGKILL else process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
