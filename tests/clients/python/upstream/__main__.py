"""Runs the clients' own suites: `python -m upstream [suite ...]`.

They wait more than they work, so they run side by side. Their sources are fetched from PyPI into
UPSTREAM_CACHE when they are not there yet.
"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

from upstream.suites import SUITES

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("UPSTREAM_CACHE") or os.path.join(tempfile.gettempdir(), "upstream-suites")

# Seconds one test may take, and a whole suite.
TEST_LIMIT_S, SUITE_LIMIT_S = 60, 1200


def pinned(package):
    """The version `requirements.txt` names."""
    with open(os.path.join(HERE, "..", "requirements.txt"), encoding="utf-8") as lines:
        return re.search(rf"^{re.escape(package)}==(\S+)$", lines.read(), re.M).group(1)


def fetch(package):
    """The folder with the unpacked sources of the package."""
    version = pinned(package)
    folder = os.path.join(CACHE, f"{package}-{version}")
    if not os.path.isdir(folder):
        os.makedirs(CACHE, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package,
                 "--dest", scratch, f"{package}=={version}"], check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
            (archive,) = os.listdir(scratch)
            with tarfile.open(os.path.join(scratch, archive)) as tar:
                tar.extractall(scratch, filter="data")
            (unpacked,) = (each for each in os.listdir(scratch) if each != archive)
            os.rename(os.path.join(scratch, unpacked), folder)
    return folder


def run(name, shard, folder):
    """Runs a part of a suite; prints its lines as they come and, when it failed, pytest's report."""
    suite = SUITES[name]
    reader, writer = os.pipe()
    environment = {
        **os.environ, **suite.environment, "UPSTREAM_SUITE": name, "UPSTREAM_FD": str(writer),
        "PYTHONPATH": os.path.dirname(HERE),
    }
    plugins = [word for plugin in ["upstream.lines", *suite.plugins] for word in ("-p", plugin)]
    with tempfile.TemporaryFile("w+") as report:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", "-q", "-W", "ignore",
             "-o", "log_cli=false", "--timeout", str(TEST_LIMIT_S), *shard],
            cwd=folder, env=environment, pass_fds=[writer], stdin=subprocess.DEVNULL, stdout=report, stderr=report)
        os.close(writer)
        killer = threading.Timer(SUITE_LIMIT_S, process.kill)
        killer.start()
        n_lines = 0
        with os.fdopen(reader) as lines:
            for line in lines:
                n_lines += 1
                print(line, end="", flush=True)
        code = process.wait()
        killer.cancel()
        if code:
            report.seek(0)
            sys.stderr.write(f"--- {name}\n{report.read()[-20_000:]}\n---\n")
            if code != 1 or not n_lines:
                print(f"FAIL {name} pytest 0.00s: ended with code {code}", flush=True)
    return code


def main():
    """Runs the suites named, or all."""
    wanted = sys.argv[1:] or list(SUITES)
    unknown = [name for name in wanted if name not in SUITES]
    if unknown:
        sys.exit(f"no suite is called {' or '.join(unknown)}: there are {', '.join(SUITES)}")
    # One after another, so that what is missing is told before anything is run.
    folders = {name: fetch(SUITES[name].package) for name in wanted}
    work = [(name, shard, folders[name]) for name in wanted for shard in SUITES[name].shards]
    with ThreadPoolExecutor(len(work)) as pool:
        codes = list(pool.map(lambda each: run(*each), work))
    sys.exit(1 if any(codes) else 0)


main()
