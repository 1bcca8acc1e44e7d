"""pytest plugin that reports a suite in the lines that `tests/clients/run` counts.

One `ok` line per test file with the number of its tests, one `FAIL` line per failed test, one `skip`
line per reason. They go to the file descriptor named by UPSTREAM_FD; pytest's own report goes to a
log that is shown when something failed.
"""

import collections
import os

import pytest

from upstream.suites import SUITES

NAME = os.environ["UPSTREAM_SUITE"]
_fd = int(os.environ["UPSTREAM_FD"])
_passed = collections.Counter()
_seconds = collections.Counter()
_skipped = collections.Counter()
_failed = set()


def _line(text):
    os.write(_fd, (text + "\n").encode())


def pytest_collection_modifyitems(config, items):
    """Takes out what cannot run here, and lets the hurried tests try again."""
    kept, gone = [], []
    for item in items:
        reason = next((why for part, why in SUITES[NAME].skips.items() if part in item.nodeid), None)
        _skipped[reason] += reason is not None
        (gone if reason else kept).append(item)
        if any(part in item.nodeid for part in SUITES[NAME].hurried):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))
    config.hook.pytest_deselected(items=gone)
    items[:] = kept


def pytest_runtest_logreport(report):
    """Counts what passed, tells what failed."""
    file = report.nodeid.partition("::")[0]
    _seconds[file] += report.duration
    if report.outcome == "failed":
        text = " ".join(str(getattr(report.longrepr, "reprcrash", None) or report.longrepr).split())[-300:]
        # A test may fail twice, in its body and in its clean-up.
        if report.nodeid not in _failed:
            _line(f"FAIL {NAME} {report.nodeid.replace(' ', '_')} {report.duration:.2f}s: {text}")
        _failed.add(report.nodeid)
    elif report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "expected to fail"
        _skipped[str(reason).removeprefix("Skipped: ")] += 1
    elif report.when == "call" and report.outcome == "passed":
        _passed[file] += 1


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish():
    """Prints the lines of the files."""
    for file, n_tests in sorted(_passed.items()):
        _line(f"ok   {NAME} {file} {_seconds[file]:.2f}s {n_tests} tests")
    for reason, n_tests in _skipped.items():
        if reason and n_tests:
            _line(f"skip {NAME} {n_tests} tests: {reason}")
